# the fault table of packet filters and of a card's receive offload; needs --kernel stock
# needs: nft=nftables ethtool
# shellcheck shell=bash

# shellcheck source=../doctor.sh
. "$lab/doctor.sh"
own_etc
build dr
# User-mode-linux has no tables of nftables for IPv4.
on rs1 nft 'add table inet guard; delete table inet guard' || stopped "this kernel has no nftables for IPv4: use --kernel stock"
well_kept -g
typed rs1 ipvsadm-rs realserver start --persist "$vip"

fault_of_rule() { # HOST ID
    typed "$1" nft 'table inet guard { chain in { type filter hook input priority 0; tcp dport 80 drop; }; }'
    fault "$2" "the firewall drops port 80" "$1"
    typed "$1" nft delete table inet guard
}
fault_of_rule rs1 R9
fault_of_rule director D14
typed rs1 nft "table arp guard { chain in { type filter hook input priority 0; arp daddr ip $vip drop; }; }"
typed rs1 busybox sysctl -w net.ipv4.conf.{all,lo}.arp_announce=0
fault R10 "rules for ARP stop questions only" rs1
typed rs1 nft delete table arp guard
prove "  traffic flows without them, too" traffic_flows

# The emulated machine has a card whose driver glues packets together, from the start. It is not wired.
modprobe vmxnet3
card=(/sys/bus/pci/drivers/vmxnet3/*/net/*)
[[ -e ${card[0]} ]] || stopped "this machine has no card with large receive offload: use --kernel stock"
ip link set "${card[0]##*/}" netns lab-director name eth1
typed director ip link set eth1 up
fault D15 "large receive offload is on" director
