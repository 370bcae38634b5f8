if [ "$1" = 0 ]; then
    [ ! -d /run/systemd/system ] || systemctl --no-reload disable --now ipvsadm-rs.service >/dev/null 2>&1 || :
fi
