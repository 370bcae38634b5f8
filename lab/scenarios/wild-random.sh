# random clusters, half of them broken by one fact: what the doctor says of each, against real traffic; LAB_CLUSTERS, LAB_SEED
# shellcheck shell=bash

# shellcheck source=../wild.sh
. "$lab/wild.sh"
own_etc
rm -f "$rules"

: "${LAB_CLUSTERS:=40}" "${LAB_SEED:=1}"
about_the_vip=" D2 D3 D4 D5 D7 D13 D14 D20 D23 D26 D27 R1 R2 R3 R4 R6 R7 R8 R9 R10 R11 "
filters=""
build bare
# With the tables of the older iptables alone the doctor says that it cannot read them.
if on director nft 'add table ip lab; delete table ip lab' 2>/dev/null; then filters=yes; fi

# One of these words; the choice is kept in $drawn.
one_of() { local -a words=("$@"); choice=${words[RANDOM % ${#words[@]}]}; drawn+=" $choice"; }
maybe() { ((RANDOM % ${1:-2} == 0)); }

# What a host is to get, so that few programs are started for it: lines of `ip -batch`, then sysctls.
declare -A lines settings
set_up() { local host=$1 line; shift; for line; do lines[$host]+=$line$'\n'; done; } # HOST LINE...
sysctl() { local host=$1 setting; shift; for setting; do settings[$host]+=" ${setting//./\/}"; done; }
settle() {
    local host
    for host in router director rs1 rs2; do
        [[ ${lines[$host]:-}${settings[$host]:-} ]] || continue
        prompt "$host" ip -batch - "${lines[$host]:-}"
        prompt "$host" sysctl -w "${settings[$host]:-}"
        # shellcheck disable=SC2016,SC2086  # the inner shell's variables; words
        on "$host" sh -c '
            ip -batch - || exit
            for setting do echo "${setting#*=}" >"/proc/sys/${setting%%=*}" || exit; done
            ' sh ${settings[$host]:-} <<<"${lines[$host]:-}"
    done
    lines=() settings=()
}
filtered() { # HOST RULE...: rules of iptables' table filter, as they are saved
    typed "$1" sh -c "printf '%s\n' \"\$@\" | iptables-restore -n" sh '*filter' "${@:2}" COMMIT
}

# Whether each of four clients is served within so many seconds, by way of the director.
served() { # SECONDS
    local number pids=()
    on director ipvsadm-rs -Z
    for number in 1 2 3 4; do
        (on client busybox timeout "$1" busybox wget -q -O - "http://$vip/?$number" >"$state/answer.$number" 2>/dev/null) &
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
    build "$layout"
    typed director sh -c "printf '%s\n' \"\$@\" | ipvsadm-rs -R" sh "-A -t $vip:80 -s rr" "-a -t $vip:80 -r $rs1_ip $flag" \
        "-a -t $vip:80 -r $rs2_ip $flag"
    one_of eth0 eth0 wide lo dummy; place=$choice
    case $place in
        eth0) ;;
        wide)
            [[ $where == inside ]] || return 0
            set_up director "addr del $vip/32 dev eth0" "addr add $vip/24 dev eth0"
            ;;
        *)
            set_up director "addr del $vip/32 dev eth0"
            [[ $place == lo ]] || set_up director "link add dummy7 type dummy" "link set dummy7 up"
            set_up director "addr add $vip/32 dev ${place/dummy/dummy7}"
            set_up router "route add $vip/32 via $director_ip"
            ;;
    esac
    if maybe 3; then drawn+=" router-id"; set_up director "addr add 10.255.0.1/32 dev lo"; fi
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
                set_up "$host" "link set ipip0 mtu 1480"
                sysctl "$host" net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
                ;;
            dr)
                case $silence in
                    all) sysctl "$host" net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2 ;;
                    own) sysctl "$host" net.ipv4.conf.eth0.arp_ignore=1 net.ipv4.conf.eth0.arp_announce=2 ;;
                esac
                case $held in
                    lo) set_up "$host" "addr add $vip/32 dev lo" ;;
                    dummy)
                        set_up "$host" "link add vip0 type dummy"
                        set_up "$host" "link set vip0 up"
                        set_up "$host" "addr add $vip/32 dev vip0"
                        ;;
                    scope-host)
                        set_up "$host" "addr add $vip/32 dev lo scope host"
                        sysctl "$host" net.ipv4.conf.eth0.arp_ignore=3
                        [[ $silence != all ]] || sysctl "$host" net.ipv4.conf.all.arp_ignore=3
                        ;;
                    anycast) set_up "$host" "route add local $vip/32 dev lo" ;;
                esac
                ;;
        esac
    done
    case $extra in
        docker)
            set_up rs1 "link add docker0 type bridge"
            set_up rs1 "addr add 172.17.0.1/16 dev docker0"
            set_up rs1 "link set docker0 up"
            ;;
        port)
            set_up rs1 "link add port0 type veth peer name port1"
            set_up rs1 "link set port0 up"
            ;;
        second)
            set_up rs1 "link add back0 type dummy"
            set_up rs1 "link set back0 arp on up"
            set_up rs1 "addr add 50.50.50.30/24 dev back0"
            [[ $method != dr ]] || sysctl rs1 net.ipv4.conf.back0.arp_ignore=1 net.ipv4.conf.back0.arp_announce=2
            ;;
    esac
}

# Rules that let everything through that the cluster needs.
make_filters() {
    settle
    [[ $filters ]] || return 0
    one_of open open nft iptables
    case $choice in
        nft) typed director nft "table inet f { chain i { type filter hook input priority 0; policy drop; iifname lo accept; ip protocol icmp accept; ip daddr $vip tcp dport 80 accept; tcp dport 22 accept; ct state established accept; }; }" ;;
        iptables)
            filtered director ':INPUT DROP' '-A INPUT -p icmp -j ACCEPT' '-A INPUT -i eth0 -p tcp -m multiport --dports 22,80 -j ACCEPT' \
                '-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT'
            ;;
    esac
    if [[ $method != nat ]] && maybe 3; then
        drawn+=" rs-filter"
        if maybe; then
            typed rs1 nft "table inet f { chain i { type filter hook input priority 0; policy drop; iifname lo accept; ip protocol { icmp, ipencap } accept; tcp dport { 22, 80 } accept; }; }"
        else
            filtered rs1 ':INPUT DROP' '-A INPUT -i lo -j ACCEPT' '-A INPUT -p icmp -j ACCEPT' '-A INPUT -p 4 -j ACCEPT' \
                '-A INPUT -p tcp -m multiport --dports 22,80 -j ACCEPT'
        fi
    fi
}

# Rules that refuse: a chain of nftables' own, or iptables'.
refused() { # HOST HOOK NFT-RULES IPTABLES-RULE...
    if maybe; then
        typed "$1" nft "table ip lab { chain c { type filter hook $2 priority -5; $3 }; }"
    else
        filtered "$1" "${@:4}"
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
    [[ ! $filters ]] || faults+=(input-drop output-drop rs-input-drop)
    [[ ! $filters || $method != nat ]] || faults+=(forward-drop)
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
            for host in rs1 rs2; do set_up "$host" "link set eth0 down"; done
            on director ip neigh flush dev eth0
            ;;
        no-forwarding) cause=D13; sysctl director net.ipv4.ip_forward=0 ;;
        gateway) cause=D4; set_up director "route add $rs1_ip/32 via 30.30.30.254" ;;
        input-drop)
            cause=D14
            refused director input 'tcp dport 80 drop;' '-I INPUT -p tcp --dport 80 -j DROP'
            ;;
        output-drop)
            cause=D14
            # Without net.ipv4.vs.conntrack what IPVS sends is not tracked.
            refused director output 'ct state untracked drop; ip protocol ipencap drop;' \
                '-I OUTPUT -m conntrack --ctstate UNTRACKED -j DROP' '-I OUTPUT -p 4 -j DROP'
            ;;
        forward-drop)
            cause=D14
            refused director forward 'policy drop; ct state established,related accept;' \
                ':FORWARD DROP' '-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT'
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
                rs-no-route) cause=R6; set_up rs1 "route del default" ;;
                rs-rule)
                    cause=R6
                    set_up rs1 "rule add from $rs1_ip lookup 77"
                    set_up rs1 "route add default via 30.30.30.254 table 77"
                    set_up rs1 "route replace default via 30.30.30.99"
                    ;;
                rs-wide)
                    cause=R1
                    on rs1 ip addr flush to "$vip/32" 2>/dev/null || :
                    on rs1 ip route del local "$vip/32" dev lo 2>/dev/null || :
                    set_up rs1 "addr add $vip/24 dev lo"
                    ;;
                rs-on-eth0)
                    cause=R4
                    on rs1 ip addr flush to "$vip/32" 2>/dev/null || :
                    on rs1 ip route del local "$vip/32" dev lo 2>/dev/null || :
                    set_up rs1 "addr add $vip/32 dev eth0"
                    # As it is when the router has heard it.
                    set_up router "neigh replace $vip lladdr $rs1_mac dev eth0"
                    on router ip neigh replace "$director_ip" lladdr "$rs1_mac" dev eth0
                    ;;
                rs-tunnel-down) cause=R11; set_up rs1 "link set ipip0 down" ;;
                rs-tunnel-filter) cause=R7; sysctl rs1 net.ipv4.conf.ipip0.rp_filter=1 ;;
                rs-input-drop)
                    cause=R9
                    refused rs1 input 'tcp dport 80 drop;' '-I INPUT -p tcp --dport 80 -j DROP'
                    # A masqueraded server is not examined here: its director sees that connections wait.
                    [[ $method != nat ]] || guilty=director cause=D27
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
    patience=10
    if ((seed % 2)); then break_it && settle; patience=2; fi
    if served "$patience"; then truth=working; else truth=broken; fi
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
    elif [[ $truth == broken && $fault != none ]]; then
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
