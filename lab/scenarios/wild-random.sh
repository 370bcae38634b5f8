# random clusters, half of them broken by one fact: what the doctor says of each, against real traffic; LAB_CLUSTERS, LAB_SEED
# shellcheck shell=bash

# shellcheck source=../wild.sh
. "$lab/wild.sh"
own_etc
rm -f "$rules"

: "${LAB_CLUSTERS:=40}" "${LAB_SEED:=1}"
about_the_vip=" D2 D3 D4 D5 D7 D13 D14 D20 D23 D26 D27 R1 R2 R3 R4 R6 R7 R8 R9 R10 R11 "
has_filters=""
build bare
if on director nft 'add table ip lab; delete table ip lab' 2>/dev/null; then has_filters=yes; fi

# One of these words; the choice is kept in $drawn.
one_of() { local -a words=("$@"); choice=${words[RANDOM % ${#words[@]}]}; drawn+=" $choice"; }
maybe() { ((RANDOM % ${1:-2} == 0)); }

# Whether each of four clients is served, by way of the director.
served() {
    local number pids=()
    on director ipvsadm-rs -Z
    for number in 1 2 3 4; do
        (on client busybox timeout 5 busybox wget -q -O - "http://$vip/?$number" >"$state/answer.$number" 2>/dev/null) &
        pids+=($!)
    done
    wait "${pids[@]}" 2>/dev/null || :
    for number in 1 2 3 4; do [[ -s $state/answer.$number ]] || return 1; done
    wait_for 3 "the director's count" counted
}

# The director has made at least as many connections as there were clients.
counted() {
    local protocol name connections rest
    while read -r protocol name connections rest; do
        [[ $protocol != TCP || $name != "$vip:80" ]] || { ((connections >= 4)); return; }
    done < <(on director ipvsadm-rs -Ln --stats --exact)
    return 1
}

make_director() {
    one_of dr nat tunnel; method=$choice
    case $method in dr) flag=-g layout=bare ;; nat) flag=-m layout=nat ;; tunnel) flag=-i layout=tunnel ;; esac
    one_of outside inside; where=$choice
    [[ $where == outside ]] && vip=20.20.20.20 || vip=30.30.30.100
    cluster "$layout" "$flag"
    one_of eth0 eth0 wide lo dummy; place=$choice
    case $place in
        eth0) ;;
        wide)
            [[ $where == inside ]] || return 0
            typed director ip addr del "$vip/32" dev eth0
            typed director ip addr add "$vip/24" dev eth0
            ;;
        *)
            typed director ip addr del "$vip/32" dev eth0
            [[ $place == lo ]] || { typed director ip link add dummy7 type dummy; typed director ip link set dummy7 up; }
            typed director ip addr add "$vip/32" dev "${place/dummy/dummy7}"
            typed router ip route add "$vip/32" via "$director_ip"
            ;;
    esac
    if maybe 3; then drawn+=" router-id"; typed director ip addr add 10.255.0.1/32 dev lo; fi
    if maybe 4; then drawn+=" master"; typed director ipvsadm-rs --start-daemon master --mcast-interface eth0; fi
    one_of rp0 rp1 rp2; sysctl director "net.ipv4.conf.eth0.rp_filter=${choice#rp}"
}

make_servers() {
    one_of lo lo dummy scope-host anycast; held=$choice
    one_of all own; silence=$choice
    one_of rp0 rp1 rp2; filter=${choice#rp}
    one_of none docker port second; extra=$choice
    local host
    for host in rs1 rs2; do
        sysctl "$host" "net.ipv4.conf.eth0.rp_filter=$filter"
        case $method in
            nat) ;;
            tunnel)
                typed "$host" ip link set ipip0 mtu 1480
                sysctl "$host" net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
                ;;
            dr)
                case $silence in
                    all) sysctl "$host" net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2 ;;
                    own) sysctl "$host" net.ipv4.conf.eth0.arp_ignore=1 net.ipv4.conf.eth0.arp_announce=2 ;;
                esac
                case $held in
                    lo) typed "$host" ip addr add "$vip/32" dev lo ;;
                    dummy)
                        typed "$host" ip link add vip0 type dummy
                        typed "$host" ip link set vip0 up
                        typed "$host" ip addr add "$vip/32" dev vip0
                        ;;
                    scope-host)
                        typed "$host" ip addr add "$vip/32" dev lo scope host
                        sysctl "$host" net.ipv4.conf.eth0.arp_ignore=3
                        [[ $silence != all ]] || sysctl "$host" net.ipv4.conf.all.arp_ignore=3
                        ;;
                    anycast) typed "$host" ip route add local "$vip/32" dev lo ;;
                esac
                ;;
        esac
    done
    case $extra in
        docker)
            typed rs1 ip link add docker0 type bridge
            typed rs1 ip addr add 172.17.0.1/16 dev docker0
            typed rs1 ip link set docker0 up
            ;;
        port)
            typed rs1 ip link add port0 type veth peer name port1
            typed rs1 ip link set port0 up
            ;;
        second)
            typed rs1 ip link add back0 type dummy
            typed rs1 ip link set back0 arp on up
            typed rs1 ip addr add 50.50.50.30/24 dev back0
            [[ $method != dr ]] || sysctl rs1 net.ipv4.conf.back0.arp_ignore=1 net.ipv4.conf.back0.arp_announce=2
            ;;
    esac
}

# Rules that let everything through that the cluster needs.
make_filters() {
    [[ $has_filters ]] || return 0
    one_of open open nft iptables
    case $choice in
        nft) typed director nft "table inet f { chain i { type filter hook input priority 0; policy drop; iifname lo accept; ip protocol icmp accept; ip daddr $vip tcp dport 80 accept; tcp dport 22 accept; ct state established accept; }; }" ;;
        iptables)
            typed director iptables -P INPUT DROP
            typed director iptables -A INPUT -p icmp -j ACCEPT
            typed director iptables -A INPUT -i eth0 -p tcp -m multiport --dports 22,80 -j ACCEPT
            typed director iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
            ;;
    esac
    if [[ $method != nat ]] && maybe 3; then
        drawn+=" rs-filter"
        typed rs1 nft "table inet f { chain i { type filter hook input priority 0; policy drop; iifname lo accept; ip protocol { icmp, ipencap } accept; tcp dport { 22, 80 } accept; }; }"
    fi
}

# One fact that breaks it: the check that has to come first is in $cause, its machine in $guilty.
break_it() {
    local faults=(vip-missing weights-zero no-server dead-servers)
    case $method in
        nat) faults+=(no-forwarding) ;;
        dr) faults+=(gateway rs-vip-missing rs-listener rs-no-route rs-rule rs-on-eth0) ;;
        tunnel) faults+=(rs-vip-missing rs-tunnel-down rs-tunnel-filter rs-no-route rs-listener) ;;
    esac
    # Elsewhere nothing of that network has to be reached.
    [[ $method != dr || $where != inside ]] || faults+=(rs-wide)
    [[ ! $has_filters ]] || faults+=(input-drop output-drop rs-input-drop)
    [[ ! $has_filters || $method != nat ]] || faults+=(forward-drop)
    one_of "${faults[@]}"; fault=$choice guilty=director
    local host
    case $fault in
        vip-missing)
            cause=D2
            for device in eth0 lo dummy7; do
                for prefix in 24 32; do on director ip addr del "$vip/$prefix" dev "$device" 2>/dev/null || :; done
            done
            # Who asks for it gets no answer, or it goes round.
            on router ip route del "$vip/32" 2>/dev/null || :
            ;;
        weights-zero)
            cause=D7
            for host in "$rs1_ip" "$rs2_ip"; do typed director ipvsadm-rs -e -t "$vip:80" -r "$host" "$flag" -w 0; done
            ;;
        no-server)
            cause=D7
            for host in "$rs1_ip" "$rs2_ip"; do typed director ipvsadm-rs -d -t "$vip:80" -r "$host"; done
            ;;
        dead-servers)
            cause=D5
            for host in rs1 rs2; do typed "$host" ip link set eth0 down; done
            on director ip neigh flush dev eth0
            ;;
        no-forwarding) cause=D13; sysctl director net.ipv4.ip_forward=0 ;;
        gateway) cause=D4; typed director ip route add "$rs1_ip/32" via 30.30.30.254 ;;
        input-drop)
            cause=D14
            typed director nft 'table ip lab { chain i { type filter hook input priority -5; tcp dport 80 drop; }; }'
            ;;
        output-drop)
            cause=D14
            typed director nft 'table ip lab { chain o { type filter hook output priority 5; ct state untracked drop; ip protocol ipencap drop; }; }'
            ;;
        forward-drop)
            cause=D14
            typed director nft 'table ip lab { chain f { type filter hook forward priority 0; policy drop; ct state established,related accept; }; }'
            ;;
        *)
            guilty=rs1
            case $fault in
                rs-vip-missing)
                    cause=R1
                    on rs1 ip addr flush to "$vip/32" 2>/dev/null || :
                    on rs1 ip route del local "$vip/32" dev lo 2>/dev/null || :
                    ;;
                rs-listener) cause=R8; stop_web rs1; web_server rs1 "$rs1_ip:80" ;;
                rs-no-route) cause=R6; typed rs1 ip route del default ;;
                rs-rule)
                    cause=R6
                    typed rs1 ip rule add from "$rs1_ip" lookup 77
                    typed rs1 ip route add default via 30.30.30.254 table 77
                    typed rs1 ip route replace default via 30.30.30.99
                    ;;
                rs-wide)
                    cause=R1
                    on rs1 ip addr flush to "$vip/32" 2>/dev/null || :
                    on rs1 ip route del local "$vip/32" dev lo 2>/dev/null || :
                    typed rs1 ip addr add "$vip/24" dev lo
                    ;;
                rs-on-eth0)
                    cause=R4
                    on rs1 ip addr flush to "$vip/32" 2>/dev/null || :
                    on rs1 ip route del local "$vip/32" dev lo 2>/dev/null || :
                    typed rs1 ip addr add "$vip/32" dev eth0
                    # As it is when the router has heard it.
                    typed router ip neigh replace "$vip" lladdr "$rs1_mac" dev eth0
                    on router ip neigh replace "$director_ip" lladdr "$rs1_mac" dev eth0
                    ;;
                rs-tunnel-down) cause=R11; typed rs1 ip link set ipip0 down ;;
                rs-tunnel-filter) cause=R7; sysctl rs1 net.ipv4.conf.ipip0.rp_filter=1 ;;
                rs-input-drop)
                    cause=R9
                    typed rs1 nft 'table ip lab { chain i { type filter hook input priority -5; tcp dport 80 drop; }; }'
                    [[ $method != nat ]] || guilty=none
                    ;;
            esac
            ;;
    esac
}

declare -A count=([working]=0 [alarms]=0 [warnings]=0 [skips]=0 [broken]=0 [silent]=0 [right]=0 [odd]=0)
say() { printf '          %s\n' "$*"; }

for ((seed = LAB_SEED; seed < LAB_SEED + LAB_CLUSTERS; seed++)); do
    RANDOM=$seed
    drawn="" fault=none cause="" guilty=""
    make_director
    make_servers
    make_filters
    if ((seed % 2)); then break_it; fi
    if served; then truth=working; else truth=broken; fi
    if [[ $truth == working && $fault == none ]]; then
        count[working]=$((count[working] + 1))
        examined_on=(director)
        [[ $method == nat ]] || examined_on+=(rs1)
        alarm="" warning="" skip=""
        for host in "${examined_on[@]}"; do
            examined "$host"
            for id in "${failed[@]}"; do alarm+=" $id"; done
            for id in "${warned[@]}"; do [[ $about_the_vip != *" $id "* ]] || warning+=" $id"; done
            [[ $host == director ]] && decisive="D2 D14" || decisive="R1 R7 R9"
            for id in $decisive; do ! is_skipped "$id" || skip+=" $id"; done
        done
        [[ -z $alarm ]] || { count[alarms]=$((count[alarms] + 1)); say "seed $seed works, FAIL$alarm:$drawn"; }
        [[ -z $warning ]] || { count[warnings]=$((count[warnings] + 1)); say "seed $seed works, WARN$warning:$drawn"; }
        [[ -z $skip ]] || { count[skips]=$((count[skips] + 1)); say "seed $seed works, skip$skip:$drawn"; }
    elif [[ $truth == broken && $fault != none && $guilty != none ]]; then
        count[broken]=$((count[broken] + 1))
        examined "$guilty"
        if [[ ${named[0]:-} == "$cause" ]]; then
            count[right]=$((count[right] + 1))
        else
            say "seed $seed broken by $fault, first is ${named[0]:-nothing}, not $cause:$drawn"
        fi
        [[ ${#failed[@]} -gt 0 ]] || { count[silent]=$((count[silent] + 1)); say "seed $seed broken by $fault, no FAIL:$drawn"; }
    else
        # A fault that does not show in the traffic, or a cluster that does not work by itself.
        count[odd]=$((count[odd] + 1))
        say "seed $seed is $truth with the fault $fault:$drawn"
    fi
done

share() { echo $((${count[$1]} * 1000 / (${count[$2]} > 0 ? ${count[$2]} : 1))); }
below() { # WHAT OF PERMILLE
    evidence="${count[$1]} of ${count[$2]}"
    (($(share "$1" "$2") < $3 || (${count[$1]} == 0)))
}
above() { evidence="${count[$1]} of ${count[$2]}" && (($(share "$1" "$2") >= $3)); }
evidence="" && say "seeds $LAB_SEED to $((seed - 1)): ${count[working]} work, ${count[broken]} are broken, ${count[odd]} are neither as meant"
prove "of those that work, under 1 % have a FAIL" below alarms working 10
prove "  under 5 % have a WARN about the VIP" below warnings working 50
prove "  of under 10 % a decisive check is skipped" below skips working 100
prove "of those that are broken, under 10 % have no FAIL" below silent broken 100
prove "  of 80 % and more the first finding is the cause" above right broken 800
