# health under the programs that it is for: a plugin of Nagios, a track_script of keepalived, the gate of ExaBGP
# needs: nagios4=nagios4-core keepalived exabgp bird=bird2 birdc=bird2 unshare=util-linux
# shellcheck shell=bash

# shellcheck source=../ha.sh
. "$lab/ha.sh"

build two-directors
for host in router director director2; do own_files "$host"; done
for host in director director2; do
    # No program of root's may be in a folder of other people's.
    printf '#!/bin/sh\nexec %q "$@"\n' "$ipvsadm" >"$state/$host.files/usr/local/sbin/ipvsadm-rs"
    chmod 755 "$state/$host.files/usr/local/sbin/ipvsadm-rs"
    typed "$host" ipvsadm-rs -A -t "$vip:80" -s wrr
    typed "$host" ipvsadm-rs -a -t "$vip:80" -r "$rs1_ip" -g
    typed "$host" ipvsadm-rs -a -t "$vip:80" -r "$rs2_ip" -g
    put "$host" health /etc/keepalived/keepalived.conf
done
keepalived director
wait_for 60 "the VIP on director" has_vip director
keepalived director2

# --- Nagios: one host, and the recipe's service beside one whose command is wrong ------------------------------------
nagios=$state/nagios
mkdir -p "$nagios"/{results,tmp}
put director health /etc/nagios4/ipvs.cfg
cat >"$nagios/site.cfg" <<SITE
define command {
    command_name alive
    command_line /bin/true
}
define timeperiod {
    timeperiod_name always
    alias always
$(for day in monday tuesday wednesday thursday friday saturday sunday; do echo "    $day 00:00-24:00"; done)
}
define contact {
    contact_name admin
    host_notification_period always
    service_notification_period always
    host_notification_commands alive
    service_notification_commands alive
}
define host {
    host_name director
    contacts admin
    address $director_ip
    check_command alive
    check_period always
    max_check_attempts 1
    notifications_enabled 0
}
define service {
    name site
    contacts admin
    register 0
    check_period always
    max_check_attempts 1
    check_interval 1
    retry_interval 1
    notifications_enabled 0
}
define service {
    use site
    host_name director
    service_description mistyped
    check_command check_ipvs!--min-server
}
SITE
cat >"$nagios/nagios.cfg" <<CFG
cfg_file=$nagios/site.cfg
cfg_file=/etc/nagios4/ipvs.cfg
log_file=$nagios/log
object_cache_file=$nagios/objects
precached_object_file=$nagios/precached
status_file=$nagios/status
temp_file=$nagios/temp
temp_path=$nagios/tmp
check_result_path=$nagios/results
lock_file=$nagios/lock
query_socket=$nagios/socket
command_file=$nagios/command
check_external_commands=0
retain_state_information=0
enable_notifications=0
interval_length=1
status_update_interval=1
nagios_user=root
nagios_group=root
CFG
prompt director nagios4 nagios.cfg
start_on director nagios4 "$nagios/nagios.cfg" >"$nagios/said" 2>&1

# What Nagios holds of a service: STATE OUTPUT | PERFORMANCE DATA.
nagios_holds() { # SERVICE STATE OUTPUT
    evidence=$(awk -F = -v wanted="$1" '
        /^servicestatus / { name = "" }
        { key = $1; sub(/^[ \t]*/, "", key); value = substr($0, index($0, "=") + 1) }
        key == "service_description" { name = value }
        name == wanted && key == "current_state" { state = value }
        name == wanted && key == "plugin_output" { output = value }
        name == wanted && key == "performance_data" { data = value }
        END { print state, output " | " data }' "$nagios/status" 2>/dev/null)
    # The words are a pattern.
    [[ $evidence == "$2 "$3 ]]
}

# --- ExaBGP, with BIRD as the router ---------------------------------------------------------------------------------
put director health /etc/exabgp/exabgp.conf
put director health /usr/local/sbin/announce 755
cat >"$state/router.files/etc/bird/bird.conf" <<BIRD
router id 30.30.30.254;
protocol device {}
protocol bgp director {
    local as 65000;
    neighbor $director_ip as 65001;
    passive;
    ipv4 { import all; export none; };
}
BIRD
typed router bird
prompt director exabgp /etc/exabgp/exabgp.conf
start_on director env exabgp.daemon.user=root exabgp.log.destination=stdout exabgp /etc/exabgp/exabgp.conf >"$state/exabgp.log" 2>&1

routed() { # VIA|nothing
    evidence=$(on router birdc -r show route for "$vip/32" 2>&1 | grep -E 'via|not found') || :
    case $1 in
        nothing) [[ $evidence == *"not found"* ]] ;;
        *) [[ $evidence == *"via $1 on eth0"* ]] ;;
    esac
}

track_script_says() { # WORDS
    evidence=$(grep -o 'VRRP_Script(ipvs).*' "$state/director.keepalived" | tail -n 1)
    [[ $evidence == *"$1"* ]]
}

heading "Both servers are there"
wait_for 60 "Nagios" test -s "$nagios/status" || stopped "$(tail -n 3 "$nagios/said")"
data="'TCP $vip:80 weight'=* 'TCP $vip:80 connections'=0;;;0"
prove_within 60 "Nagios" "Nagios holds it for ok, with performance data" \
    nagios_holds web 0 "IPVS OK - services: 1, servers: 2, connections: 0 | * 'TCP $vip:80 servers'=2;2:;1:;0 $data"
prove_within 30 "Nagios" "and a command that is mistyped for unknown" nagios_holds mistyped 3 "*"
wait_for 60 "the route" routed "$director_ip" || note "$(tail -n 5 "$state/exabgp.log")"
prove "ExaBGP announces the VIP" routed "$director_ip"
prove "keepalived's script succeeds" track_script_says succeeded
prove "director has the VIP" vip_on director director2

heading "One server has weight 0"
typed director ipvsadm-rs -e -t "$vip:80" -r "$rs1_ip" -g -w 0
warning="IPVS WARNING - TCP $vip:80: servers 1, at least 2 | *"
prove_within 30 "Nagios" "Nagios warns" nagios_holds web 1 "$warning"
prove "ExaBGP goes on" routed "$director_ip"
prove "so does keepalived" vip_on director director2

heading "Both have"
typed director ipvsadm-rs -e -t "$vip:80" -r "$rs2_ip" -g -w 0
critical="IPVS CRITICAL - TCP $vip:80: servers 0, at least 1 | *"
prove_within 30 "Nagios" "for Nagios it is critical" nagios_holds web 2 "$critical"
prove_within 30 "the route to go" "ExaBGP takes the route back" routed nothing
wait_for 60 "the VIP to move" vip_on director2 director || :
prove "keepalived's script fails" track_script_says "failed (exited with status 2)"
prove "and the VIP is on director2" vip_on director2 director

heading "They serve again"
for server in "$rs1_ip" "$rs2_ip"; do typed director ipvsadm-rs -e -t "$vip:80" -r "$server" -g -w 1; done
prove_within 30 "Nagios" "Nagios holds it for ok" nagios_holds web 0 "IPVS OK *"
prove_within 30 "the route" "ExaBGP announces the VIP" routed "$director_ip"
prove_within 30 "keepalived's script" "keepalived's script succeeds" track_script_says succeeded
