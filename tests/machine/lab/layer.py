"""What lies over a suite's tree when a box boots: users, the lab's CA, the agent's dependencies, the agent.

python -m tests.machine.lab.layer      makes those of all suites, before the first test does
"""

import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from .authority import ca_file
from .cache import digest, kept
from .ground import ALONE, output
from .places import REGISTRY
from .rootfs import SUITES, Suite, all_made, rootfs
from .wheelhouse import built, dependencies, product_wheel, wheelhouse

NEEDS = " ".join(f"'{need}'" for need in dependencies())
LAB_CA = "/etc/ssl/lab-ca.crt"
# alice may use Docker, bob may not.
READY = f"""
useradd --create-home --shell /bin/bash --groups docker alice
useradd --create-home --shell /bin/bash bob
systemd-machine-id-setup
# mmdebstrap left those of the machine it ran on.
echo laptop >/etc/hostname
echo '127.0.0.1 localhost laptop' >/etc/hosts
: >/etc/resolv.conf
# Cannot work in a box, or would wake up in the middle of a test.
systemctl mask systemd-modules-load.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer
# What a box has no use for, and would be a third of each boot: modules and file systems of the kernel, a console, units
# made of files that are not there, and below what the first boot after an update makes anew.
systemctl mask modprobe@.service dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount run-lock.mount \
    console-getty.service getty.target
mkdir -p /etc/systemd/system-generators
for generator in /usr/lib/systemd/system-generators/*; do
    ln -s /dev/null "/etc/systemd/system-generators/${{generator##*/}}"
done
cp /mnt/ca/ca.crt {LAB_CA}
cp /mnt/ca/ca.crt /usr/local/share/ca-certificates/lab.crt
update-ca-certificates
install -D -m 644 /mnt/ca/ca.crt /etc/docker/certs.d/{REGISTRY}/ca.crt
python3 -m venv /opt/docker-proxy-agent
/opt/docker-proxy-agent/bin/pip install --no-index --find-links /mnt/wheels --find-links /mnt/built {NEEDS}
ln -s /opt/docker-proxy-agent/bin/docker-proxy-agent /usr/local/bin/docker-proxy-agent
touch /etc/.updated /var/.updated
"""
PRODUCT = "/opt/docker-proxy-agent/bin/pip install --no-index --no-deps /mnt/product/*.whl"


@cache
def layers(suite: Suite) -> Sequence[Path]:
    """The directories to put under a box's overlay, the uppermost first."""
    base = rootfs(suite)
    wheels, wheel = wheelhouse(), product_wheel()
    given = {"wheels": wheels, "built": built(), "ca": ca_file().parent}

    def make_ready(layer: Path) -> None:
        _run_on([base], layer, READY, given)

    ready = kept(f"ready-{suite.name}", digest(base.parent.name, wheels.name, ca_file().read_text(), READY), make_ready)

    def make_product(layer: Path) -> None:
        _run_on([ready, base], layer, PRODUCT, {"product": wheel.parent})

    product = kept(f"product-{suite.name}", digest(ready.name, wheel.parent.name, PRODUCT), make_product)
    return [product, ready, base]


def _run_on(lower: Sequence[Path], layer: Path, script: str, given: dict[str, Path]) -> None:
    """Run a script in the tree that `lower` makes; what it changes lands in `layer`. `given` is seen below /mnt."""
    root, work = layer.with_suffix(".root"), layer.with_suffix(".work")
    root.mkdir()
    work.mkdir()
    over = f"lowerdir={':'.join(str(path) for path in lower)},upperdir={layer},workdir={work}"
    binds = [f"mkdir mnt/{name}; mount --bind {path} mnt/{name}" for name, path in given.items()]
    mounts = [
        f"mount -t overlay layer -o {over} {root}; cd {root}",
        "mount --bind /dev dev; mount -t proc proc proc; mount -t tmpfs given mnt",
        *binds,
        'exec chroot . /bin/sh -euc "$1"',
    ]
    try:
        output([*ALONE, "sh", "-euc", "\n".join(mounts), "sh", script])
    finally:
        root.rmdir()
        shutil.rmtree(work)


if __name__ == "__main__":
    all_made()
    for suite in SUITES.values():
        layers(suite)
