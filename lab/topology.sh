# The cluster: who is there, how they are wired, and how to run something on one of them. Sourced by lab/inside.
# shellcheck shell=bash
#
# Every host is a network namespace lab-HOST, and so is the switch: whatever carries a packet here lives in one of them, so
# the machine's own network is neither used nor touched, and deleting the namespaces deletes the lab.

hosts=(client router director director2 rs1 rs2)

client_ip=40.40.40.10  client_ip6=2001:db8:40::10
director_ip=30.30.30.20
director2_ip=30.30.30.21
rs1_ip=30.30.30.30     rs1_ip6=2001:db8:30::30     rs1_name=rs1.kobe
rs2_ip=30.30.30.40     rs2_ip6=2001:db8:30::40     rs2_name=rs2.curry
vip=20.20.20.20        vip6=2001:db8:20::20

# MAC addresses a reader of a capture can distinguish: the last byte is the host's number on the segment.
client_mac=02:00:00:00:00:10
router_mac=02:00:00:00:00:fe
director_mac=02:00:00:00:00:20
director2_mac=02:00:00:00:00:21
rs1_mac=02:00:00:00:00:30
rs2_mac=02:00:00:00:00:40

drawing() {
    cat <<'DRAWING'
                  client 40.40.40.10
                     |
                     | 40.40.40.254
                  router  (forwards; has no fixed entry for the VIP, it asks with ARP)
                     | 30.30.30.254
                     | 20.20.20.254
    +----------------+------- one switch --+------------------------+
    |                                      |                        |
    | 30.30.30.20                          | 30.30.30.30            | 30.30.30.40
  director                               rs1 "rs1.kobe"           rs2 "rs2.curry"
    VIP 20.20.20.20                        weight 1                 weight 3
    IPVS                                   VIP on lo, silent        VIP on lo, silent
DRAWING
}

# Not `ip netns exec`, which also mounts things: that is twice the time, and no program here needs it. busybox' nsenter
# starts in half the time of util-linux', which loads more libraries; but a static busybox may prefer its own `ip`.
nsenter=(nsenter)
if [[ $(busybox nsenter --net=/proc/self/ns/net -- ip -V 2>/dev/null) == *iproute2* ]]; then nsenter=(busybox nsenter); fi

# The lab's lock and transcript (file descriptors 9 and 3) are not for the programs it starts: some stay.
on() { # HOST COMMAND...
    local files=()
    [[ ! -e $state/$1.mounts ]] || files=(--mount="$state/$1.mounts")
    "${nsenter[@]}" --net="/run/netns/lab-$1" "${files[@]}" -- "${@:2}" 3>&- 9>&-
}

# The same for a program that stays, with its process id in $started.
start_on() { # HOST COMMAND...
    local files=()
    [[ ! -e $state/$1.mounts ]] || files=(--mount="$state/$1.mounts")
    (exec "${nsenter[@]}" --net="/run/netns/lab-$1" "${files[@]}" -- "${@:2}" </dev/null 3>&- 9>&-) &
    started=$!
}

# Brings a host up: sysctls as KEY=VALUE arguments, `ip -batch` lines on standard input. One program start per layer and
# not one per line, because on an emulated kernel starting programs is what takes the time.
configure() { # HOST [KEY=VALUE...]
    local host=$1 settings
    shift
    # A new namespace inherits some of these from the machine, so all that matter are set. rp_filter is strict on the wire
    # only (the larger of "all" and the device's own counts): a tunnel device must be free to bring in clients' packets.
    settings=(ipv4/conf/{all,default}/rp_filter=0 ipv4/conf/eth0/rp_filter=1
              ipv4/conf/{all,eth0}/{arp_ignore,arp_announce,arp_filter,send_redirects,accept_redirects}"=0"
              ipv4/ip_forward=0)
    # Duplicate address detection would leave every address unusable for a second.
    [[ ! -e /proc/sys/net/ipv6 ]] || settings+=(ipv6/conf/{all,default,eth0}/{accept_dad,accept_ra}"=0")
    # shellcheck disable=SC2016  # the inner shell's variables
    on "$host" sh -c '
        for setting do echo "${setting#*=}" >"/proc/sys/net/${setting%%=*}" || exit; done
        exec ip -batch -' sh "${settings[@]}" "$@"
}

# How a real server is kept from answering ARP for the VIP it holds, where `ipvsadm-rs realserver` does not see to that: say
# only what the asked device has, ask only with it.
arp_silent=(ipv4/conf/{all,lo}/arp_ignore=1 ipv4/conf/{all,lo}/arp_announce=2)
arp_talking=(ipv4/conf/{all,lo}/{arp_ignore,arp_announce}"=0")

# build MODE: dr (IPv4), dr6 (the same with IPv6), nat, tunnel, arp-problem (dr with real servers that answer for the VIP),
# bare (dr with real servers that have no VIP yet), or two-directors (dr with director2 beside director, where neither has
# the VIP: that is for keepalived to bring). The host that $initial names lives in the namespace that the lab itself is in.
build() {
    local mode=$1 host on_segment=(router director rs1 rs2)
    destroy
    rm -f "$state"/*.{weblog,keepalived} "$state/ldirectord.log"
    [[ $mode != two-directors ]] || on_segment+=(director2)
    # Last: where there is an eth0 already, the kernel makes none for another namespace.
    if [[ ${initial:-} ]]; then
        mapfile -t on_segment < <(printf '%s\n' "${on_segment[@]}" | grep -vx "$initial"; echo "$initial")
    fi
    {
        for host in client "${on_segment[@]}" switch; do
            if [[ $host == "${initial:-}" ]]; then echo "netns attach lab-$host $$"; else echo "netns add lab-$host"; fi
        done
        echo "link add name eth0 address $client_mac netns lab-client type veth peer name eth1 netns lab-router"
        for host in "${on_segment[@]}"; do
            declare -n mac=${host}_mac
            echo "link add name eth0 address $mac netns lab-$host type veth peer name $host netns lab-switch"
        done
    } | ip -batch -
    {
        echo "link add name br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
        for host in "${on_segment[@]}"; do echo "link set $host master br0 up"; done
        echo "link set br0 up"
    } | ip -n lab-switch -batch -

    local router_sysctls=(ipv4/ip_forward=1 ipv4/conf/eth1/rp_filter=1) director_sysctls=()
    [[ $mode != dr6 ]] || router_sysctls+=(ipv6/conf/all/forwarding=1)
    # Under NAT the replies are forwarded by the director.
    [[ $mode != nat ]] || director_sysctls=(ipv4/ip_forward=1)
    {
        up
        echo "addr add $client_ip/24 dev eth0"
        echo "route add default via 40.40.40.254"
        [[ $mode != dr6 ]] || {
            echo "addr add $client_ip6/64 dev eth0"
            echo "route add default via 2001:db8:40::254"
        }
    } | configure client
    {
        up
        echo "link set eth1 up"
        echo "addr add 40.40.40.254/24 dev eth1"
        echo "addr add 30.30.30.254/24 dev eth0"
        echo "addr add 20.20.20.254/24 dev eth0"
        [[ $mode != dr6 ]] || {
            echo "addr add 2001:db8:40::254/64 dev eth1"
            echo "addr add 2001:db8:30::254/64 dev eth0"
            echo "addr add 2001:db8:20::254/64 dev eth0"
        }
    } | configure router "${router_sysctls[@]}"
    {
        up
        echo "addr add $director_ip/24 dev eth0"
        [[ $mode == two-directors ]] || echo "addr add $vip/32 dev eth0"
        echo "route add default via 30.30.30.254"
        [[ $mode != dr6 ]] || {
            echo "addr add 2001:db8:30::20/64 dev eth0"
            echo "addr add $vip6/128 dev eth0"
            echo "route add default via 2001:db8:30::254"
        }
    } | configure director "${director_sysctls[@]}"
    [[ $mode != two-directors ]] || {
        up
        echo "addr add $director2_ip/24 dev eth0"
        echo "route add default via 30.30.30.254"
    } | configure director2
    real_server "$mode" rs1 "$rs1_ip" "$rs1_ip6"
    real_server "$mode" rs2 "$rs2_ip" "$rs2_ip6"
    web_server rs1 80
    web_server rs2 80
}

up() {
    echo "link set lo up"
    echo "link set eth0 up"
}

real_server() { # MODE HOST IPV4 IPV6
    local mode=$1 host=$2 ip=$3 ip6=$4 sysctls=("${arp_silent[@]}")
    case $mode in
        nat) sysctls=() ;;                              # does not hold the VIP
        dr | dr6 | bare | arp-problem | two-directors) sysctls=("${arp_talking[@]}") ;;
    esac
    {
        up
        echo "addr add $ip/24 dev eth0"
        case $mode in
            nat) echo "route add default via $director_ip" ;;
            *) echo "route add default via 30.30.30.254" ;;
        esac
        case $mode in
            arp-problem)
                echo "addr add $vip/32 dev lo label lo:0"
                ;;
            tunnel)
                echo "link add name ipip0 type ipip local $ip remote $director_ip"
                echo "addr add $vip/32 dev ipip0"
                echo "link set ipip0 up"
                ;;
            dr6)
                echo "addr add $ip6/64 dev eth0"
                echo "route add default via 2001:db8:30::254"
                ;;
        esac
    } | configure "$host" "${sysctls[@]}"
    case $mode in
        dr | two-directors) on "$host" ipvsadm-rs realserver start "$vip" ;;
        dr6) on "$host" ipvsadm-rs realserver start "$vip6" ;;
    esac
}

# A web server that answers with its host's name and logs who asked, listening when this returns.
web_server() { # HOST [ADDRESS:]PORT
    declare -n name=${1}_name
    mkdir -p "$state/www/$1"
    echo "$name" >"$state/www/$1/index.html"
    # In the foreground, because in the background it logs nothing; -c, because it would read the machine's /etc/httpd.conf.
    start_on "$1" busybox httpd -f -vv -c /dev/null -p "$2" -h "$state/www/$1" >>"$state/$1.weblog" 2>&1
    wait_for 60 "the web server of $1" listens "$1" "$started" "${2##*:}"
    web_servers[$1]=$started
}

declare -A web_servers=()

stop_web() { # HOST
    kill "${web_servers[$1]}"
    wait "${web_servers[$1]}" 2>/dev/null || :
}

listens() { # HOST PID PORT: has the process arrived on its host, and is there a listening socket (state 0A)?
    local port
    printf -v port ':%04X 0*:0000 0A ' "$3"
    [[ /proc/$2/ns/net -ef /run/netns/lab-$1 ]] || return 1
    # What cannot be opened would end this shell then and there.
    [[ (-r /proc/$2/net/tcp && $(<"/proc/$2/net/tcp") =~ $port) || (-r /proc/$2/net/tcp6 && $(<"/proc/$2/net/tcp6") =~ $port) ]]
}

# Ends what runs in the namespaces (only the lab's own programs can be there) and deletes them.
destroy() {
    local host process names=() mounts
    for mounts in "$state"/*.mounts; do
        [[ ! -e $mounts ]] || { umount "$mounts" && rm "$mounts"; }
    done
    for host in "${hosts[@]}" switch; do
        [[ ! -e /run/netns/lab-$host ]] || names+=("$host")
    done
    # What lives in the lab's own namespace goes by itself; everything else there is not the lab's.
    for host in "${!names[@]}"; do
        [[ /run/netns/lab-${names[host]} -ef /proc/self/ns/net ]] || continue
        ip link delete eth0 || :
        ip netns delete "lab-${names[host]}"
        unset "names[host]"
    done
    ((${#names[@]})) || return 0
    for process in /proc/[0-9]*; do
        for host in "${names[@]}"; do
            # The same file: the process is in that namespace.
            [[ ! $process/ns/net -ef /run/netns/lab-$host ]] || kill "${process#/proc/}" 2>/dev/null || :
        done
    done
    printf 'netns del lab-%s\n' "${names[@]}" | ip -batch -
}
