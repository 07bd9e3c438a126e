"""The commands: each file reads its arguments, asks one thing and prints it."""


def main() -> int:
    return 0
