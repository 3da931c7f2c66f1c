# What gives a container its host, where it is allowed.
# ends: done
# says: nothing was allowed
refused() { "$@" >/dev/null 2>&1 && { echo "allowed: $*"; exit 0; }; }
refused mount -t tmpfs none /tmp
refused mount --bind / /tmp
refused umount /proc
refused chroot /
refused unshare -r true
refused unshare -n true
refused nsenter -t 1 -m true
refused mknod /tmp/sda b 8 0
refused chown 0:0 /tmp
refused hostname other
refused insmod /x.ko
refused dmesg
refused ping -c 1 127.0.0.1
refused su -c true
refused test -e /var/run/docker.sock
refused test -e /run/docker.sock
refused sh -c 'echo 1 >/proc/sys/kernel/core_pattern'
refused sh -c 'echo b >/proc/sysrq-trigger'
refused sh -c 'echo 0 >/sys/fs/cgroup/cgroup.procs'
refused sh -c 'echo -1000 >/proc/1/oom_score_adj'
[ "$(id -u)" -ne 0 ] || { echo "allowed: root"; exit; }
grep -q '^CapEff:.0000000000000000$' /proc/self/status || { echo "has capabilities"; exit; }
grep -q '^NoNewPrivs:.1$' /proc/self/status || { echo "may gain privileges"; exit; }
grep -q '^Seccomp:.2$' /proc/self/status || { echo "no filter of system calls"; exit; }
echo nothing was allowed
