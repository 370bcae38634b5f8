# keepalived moves the VIP to the second director when the first dies; an open TCP connection goes on
# needs: keepalived socat unshare=util-linux
# shellcheck shell=bash

# shellcheck source=../ha.sh
. "$lab/ha.sh"

two_directors
fetch "http://$vip/?[1-20]"
heading "Is that a pair of directors?"
prove "the load is shared 5 : 15" answers_are 5 15
typed director ipvsadm-rs -L --daemon
typed director2 ipvsadm-rs -L --daemon
prove "only the first director has the VIP" vip_on director director2

heading "A connection that lasts"
talk_begins
for _ in 1 2 3 4; do say 10; done
wait_for 60 "the synchronised connection" knows_talk director2 || :
typed director2 ipvsadm-rs -Lnc
prove "the second director knows the connection" knows_talk director2
prove "it lacks no established connection of the first" backup_lacks director director2 0

heading "The first director dies"
watch router
crash director
for _ in 5 6 7; do say 40; done
typed router ip neigh flush to "$vip"
fetch "http://$vip/?[1-20]"
typed router ip neigh show to "$vip"
unwatch director2

heading "Did anybody notice?"
prove "the same TCP connection goes on: every line came back, from the same server" talk_goes_on
prove "by way of director2" talk_passes director2
prove "the client never opened a second one" new_connections_to 7 0
prove "the second director has the VIP and is the master of synchronisation" is_master director2
prove "only it answers ARP for the VIP" arp_answered_by "$vip" director2
prove "new connections work and are shared 5 : 15" answers_are 5 15

heading "The first director comes back"
reboot director
prove "it knows no connections" knows_nothing director
prove "it lacks the established connection of the second" backup_lacks director2 director 1
prove "it leaves the VIP where it is" vip_on director2 director
wait_for 60 "the connection on the first director" knows_again director || :
prove "and receives the connection" knows_talk director
prove "which still goes on" talk_goes_on
talk_ends
