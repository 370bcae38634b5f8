# clusters behind ufw and firewalld themselves: the cause first, and a fix by the manager in charge; needs --kernel stock
# needs: nft=nftables iptables
# shellcheck shell=bash

# shellcheck source=../wild.sh
. "$lab/wild.sh"
# Not installed for this: where systemd runs, the package of firewalld starts it.
for program in ufw firewalld dbus-daemon; do
    command -v "$program" >/dev/null || stopped "$program is not there; apt-get install ufw firewalld dbus, where that does no harm"
done
own_etc
rm -f "$rules"
# As both come: nothing of what this machine's administrator lets in.
rm -rf /etc/firewalld/{zones,policies}/*

# It refuses clients, and the fix lets in no more than it must.
refuses() { # HOST ADDRESS ID PROGRAM
    guard "$1" "$2"
    broken "$1" "$3"
    prove "  by $4" typed_by "$4"
    prove "  and what was closed is closed" still_closed "$2"
}

# --- ufw -------------------------------------------------------------------------------------------------------------

ufw_on() { # HOST RULE...: its defaults, and what is let in besides; a rule is a word list
    local host=$1 rule
    shift
    on "$host" ufw --force reset >/dev/null
    for rule in "$@"; do
        # shellcheck disable=SC2086 # words
        typed "$host" ufw $rule
    done
    typed "$host" ufw --force enable
}

# help.ubuntu.com/community/UFW: deny all that comes in, and let ssh in.
row "ufw as it comes, a director"
cluster dr -g
ufw_on director "allow 22/tcp"
refuses director "$director_ip" D14 ufw

row "ufw lets the port in"
cluster dr -g
ufw_on director "allow 22/tcp" "allow 80/tcp"
works director

# acassen/keepalived's users and kubernetes': ufw's DEFAULT_FORWARD_POLICY is DROP.
row "ufw as it comes, a masquerading director"
cluster nat -m
ufw_on director "allow 22/tcp" "allow 80/tcp"
broken_until_all_fixed director D14
prove "  by ufw" typed_by ufw

row "ufw as it comes, a real server"
cluster dr -g
ufw_on rs1 "allow 22/tcp"
refuses rs1 "$rs1_ip" R9 ufw

# --- firewalld -------------------------------------------------------------------------------------------------------

mkdir -p /run/dbus
rm -f /run/dbus/pid /run/dbus/system_bus_socket
dbus-daemon --system --fork --nopidfile

firewalld_on() { # HOST [SERVICE]: as it comes, and what is let in besides
    start_on "$1" firewalld --nofork --nopid >/dev/null 2>"$state/firewalld"
    daemon=$started
    wait_for 60 "firewalld" answers_firewalld || stopped "$(tail -n 3 "$state/firewalld")"
    [[ ${2:-} ]] || return 0
    typed "$1" firewall-cmd --permanent --add-service "$2"
    typed "$1" firewall-cmd --reload
}
answers_firewalld() { [[ $(firewall-cmd --state 2>&1) == running ]]; }
firewalld_off() {
    kill "$daemon"
    wait "$daemon" || :
    rm -rf /etc/firewalld/{zones,policies}/*
}

# firewalld.org/documentation: the zone public lets ssh and dhcpv6-client in.
row "firewalld as it comes, a director"
cluster dr -g
firewalld_on director
refuses director "$director_ip" D14 firewall-cmd
firewalld_off

row "firewalld lets the service in"
cluster dr -g
firewalld_on director http
works director
firewalld_off

# kubernetes/kubernetes#59656 and firewalld's own forward chain: answers that connection tracking does not know.
row "firewalld as it comes, a masquerading director"
cluster nat -m
firewalld_on director http
broken director D14
firewalld_off

row "firewalld as it comes, a real server"
cluster dr -g
firewalld_on rs1
refuses rs1 "$rs1_ip" R9 firewall-cmd
firewalld_off
