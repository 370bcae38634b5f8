if [ "$1" = 0 ]; then
    update-alternatives --remove ipvsadm /usr/sbin/ipvsadm-rs || :
fi
[ ! -d /run/systemd/system ] || systemctl daemon-reload >/dev/null 2>&1 || :
