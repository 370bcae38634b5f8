# three directors behind a router that spreads the VIP: what ecmp shows, in IPv6
# needs: bird=bird2 birdc=bird2 unshare=util-linux chrt=util-linux
# shellcheck shell=bash

family=6
# shellcheck source=ecmp.sh
. "$lab/scenarios/ecmp.sh"
