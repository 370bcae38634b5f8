if [ "$1" = 0 ]; then
    [ ! -d /run/systemd/system ] || systemctl --no-reload disable --now ipvsadm-rs.service ipvsadm-rs-metrics.timer >/dev/null 2>&1 || :
fi
