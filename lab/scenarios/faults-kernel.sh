# the fault table of the kernel: IPVS not there, or forbidden; tables of connections and of neighbours that are too small
# shellcheck shell=bash

# shellcheck source=../doctor.sh
. "$lab/doctor.sh"
own_etc
# The limits of the table of neighbours are to be seen in the first namespace only.
initial=director
build dr
sysctl() { typed "$1" busybox sysctl -w "${@:2}"; }
# To the real servers' discard port. Each datagram is a connection of its own.
datagrams() { typed client bash -c "for ((i = 0; i < 400; i++)); do echo >/dev/udp/$vip/9; done"; }
typed director ipvsadm-rs -A -u "$vip:9" -s rr
for real in "$rs1_ip" "$rs2_ip"; do typed director ipvsadm-rs -a -u "$vip:9" -r "$real" -g; done
rm -f "$rules"
saved() { typed director ipvsadm-rs -S -n --all --file "$rules"; }
well_kept -g
# What an earlier scenario has left in its namespaces keeps the module busy until the kernel has tidied them up.
unloaded() {
    typed director ipvsadm-rs -C
    local modules
    # With whatever schedulers were used here.
    mapfile -t modules < <(sed -n 's/^\(ip_vs_[^ ]*\) .*/\1/p' /proc/modules)
    prompt director modprobe -r "${modules[@]}" ip_vs
    wait_for 60 "ip_vs to be free" unload "${modules[@]}" ip_vs
}
unload() { on director modprobe -r "$@" 2>/dev/null; }
restored() { typed director ipvsadm-rs -R --file "$rules"; }

heading "Neighbours"
sysctl director net.ipv4.neigh.default.gc_thresh3=2
fault D17 "the neighbour table has no room" director

heading "Connections"
unloaded
typed director sh -c 'echo options ip_vs conn_tab_bits=8 >/etc/modprobe.d/ip_vs.conf'
typed director modprobe ip_vs
restored
datagrams
larger() {
    typed director sh -c "${found_advice[D16]#*: }"
    unloaded
    typed director modprobe ip_vs
    restored
    datagrams
}
if on director test -e /proc/sys/net/ipv4/vs/conn_lfactor; then
    examined director
    prove "400 connections, a table of 256 at first that grows by itself: all is green" all_green
else
    fault_with_advice D16 "400 connections in a table of 256" director -- larger
fi

heading "IPVS itself"
# It is said to be the director, as without a table it does not look like one.
without_ipvs() { # WHAT
    examined director --role director
    prove "$1: the doctor on director names D1" names D1
    prove "  the fix it prints can be typed" fixed D1
    examined director --role director
    prove "  now it names D22, as there is no table yet" names D22
    prove "  the fix it prints can be typed" fixed D22
    examined director
    prove "  all is green again" all_green
    prove "  traffic flows" traffic_flows
}
forbid() { typed director sh -c 'echo install ip_vs /bin/false >/etc/modprobe.d/hardening.conf'; }
unloaded
without_ipvs "the module is not loaded"
forbid
fault D1 "the module is forbidden from the next boot on" director
unloaded
forbid
without_ipvs "the module is forbidden"
typed director ipvsadm-rs -C
