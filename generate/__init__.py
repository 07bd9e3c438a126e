"""What is made when the product is built, from what it says of itself elsewhere. Nothing here runs with it.

    python -m generate.completions DIR   for bash, zsh and fish, from the arguments of the commands
    python -m generate.man DIR           docker-proxy-agent(1) from these, and (5) from config.example.toml

Each file lies below DIR as it will below /usr/share or /usr/local/share.
"""
