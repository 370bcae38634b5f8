# The names that everybody knows, unless another package has them.
update-alternatives --install /usr/sbin/ipvsadm ipvsadm /usr/sbin/ipvsadm-rs 50 \
    --slave /usr/sbin/ipvsadm-save ipvsadm-save /usr/sbin/ipvsadm-rs \
    --slave /usr/sbin/ipvsadm-restore ipvsadm-restore /usr/sbin/ipvsadm-rs \
    --slave /usr/share/man/man8/ipvsadm.8.gz ipvsadm.8.gz /usr/share/man/man8/ipvsadm-rs.8.gz \
    --slave /usr/share/man/man8/ipvsadm-save.8.gz ipvsadm-save.8.gz /usr/share/man/man8/ipvsadm-rs-save.8.gz \
    --slave /usr/share/man/man8/ipvsadm-restore.8.gz ipvsadm-restore.8.gz /usr/share/man/man8/ipvsadm-rs-restore.8.gz || :
if [ "$1" = 1 ] && [ -d /run/systemd/system ]; then
    systemctl --no-reload preset ipvsadm-rs.service ipvsadm-rs-metrics.timer >/dev/null 2>&1 || :
fi
[ ! -d /run/systemd/system ] || systemctl daemon-reload >/dev/null 2>&1 || :
