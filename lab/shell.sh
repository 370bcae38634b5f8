# An open lab: the dr cluster, balancing, and a shell on one of its hosts. Sourced by lab/inside.
# shellcheck shell=bash

build dr
on director ipvsadm-rs -A -t "$vip:80" -s wrr
on director ipvsadm-rs -a -t "$vip:80" -r "$rs1_ip" -g -w 1
on director ipvsadm-rs -a -t "$vip:80" -r "$rs2_ip" -g -w 3

echo
drawing
cat <<HINT

You are root on $bold$shell_host$plain. ipvsadm and ipvsadm-rs are this repository's program; \`on HOST COMMAND\` runs a command on
another host. The cluster is balancing; \`exit\` ends it. What to try:

HINT
printf '  %-66s %s\n' \
    "on client curl -s 'http://$vip/?[1-20]'" "twenty answers" \
    "on director ipvsadm-rs -Ln --stats" "the director's counters, brought up to date every 2 s" \
    "on director ipvsadm-rs -Lnc" "its connections" \
    "on director ipvsadm-rs -e -t $vip:80 -r $rs1_ip -g -w 0" "take rs1 out, gently" \
    "on rs2 tcpdump -en -i eth0 -c 5 tcp port 80 &" "watch frames arrive" \
    "on rs1 busybox sysctl -w net.ipv4.conf.all.arp_ignore=0" "break it: rs1 answers ARP for the VIP," \
    "on router ip neigh flush all" "and may be first when the router asks again"
echo
cat >"$state/shellrc" <<RC
PS1='$shell_host# '
unset HISTFILE
RC
# With `ip netns exec`, so that /sys is that host's as well. The exit status of the last thing tried is not used.
ip netns exec "lab-$shell_host" bash --noprofile --rcfile "$state/shellrc" -i 3>&- 9>&- || :
