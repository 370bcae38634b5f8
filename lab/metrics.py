"""What prometheus has, held against what `ipvsadm-rs -L --json` says. The lab's scenario metrics runs it on the director.

    metrics.py samples              every sample of services, servers, timeouts and daemons
    metrics.py node                 node_exporter's own, joined with ours
    metrics.py panels DASHBOARD     every query of the dashboard has an answer
    metrics.py alerts [NAME...]     these alerts fire, and no others
"""

import json
import subprocess
import sys
import urllib.parse
import urllib.request

API = "http://127.0.0.1:9090/api/v1/"
SERVICE = ("local_address", "local_port", "proto", "local_mark", "family")
COUNTERS = {
    "connections": "connections",
    "incoming_packets": "packets_in",
    "outgoing_packets": "packets_out",
    "incoming_bytes": "bytes_in",
    "outgoing_bytes": "bytes_out",
}
GAUGES = (
    "weight",
    "active_connections",
    "inactive_connections",
    "persistent_connections",
    "upper_threshold",
    "lower_threshold",
)


def ask(path, **parameters):
    with urllib.request.urlopen(API + path + "?" + urllib.parse.urlencode(parameters), timeout=20) as answer:
        document = json.load(answer)
    if document["status"] != "success":
        sys.exit(f"{path} {parameters}: {document}")
    return document["data"]


def query(expression):
    return ask("query", query=expression)["result"]


def listed(*words):
    text = subprocess.run(["ipvsadm-rs", "-L", *words, "--json"], check=True, capture_output=True).stdout
    return json.loads(text)


def labels(service):
    mark = service["fwmark"]
    return {
        "local_address": service["address"] or "",
        "local_port": str(service["port"] or 0),
        "proto": "FWM" if mark else service["protocol"].upper(),
        "local_mark": f"{mark:08X}" if mark else "",
        "family": service["family"],
    }


def expected():
    """Name, labels and value of every sample."""
    for service in listed()["table"]["services"]:
        own = labels(service)
        for name, member in COUNTERS.items():
            yield f"ipvs_service_{name}_total", own, service["counters"][member]
        for server in service["servers"]:
            both = {**own, "remote_address": server["address"], "remote_port": str(server["port"])}
            for name, member in COUNTERS.items():
                yield f"ipvs_server_{name}_total", both, server["counters"][member]
            for name in GAUGES:
                yield f"ipvs_server_{name}", both, server[name]
    timeouts = listed("--timeout")["timeouts"]
    for name, member in (("tcp", "tcp_seconds"), ("tcpfin", "tcp_fin_seconds"), ("udp", "udp_seconds")):
        yield "ipvs_timeout_seconds", {"timeout": name}, timeouts[member]


def samples():
    there = {}
    for sample in query('{__name__=~"ipvs_.*"}'):
        metric = {name: value for name, value in sample["metric"].items() if name not in ("job", "instance")}
        there[json.dumps(metric, sort_keys=True)] = float(sample["value"][1])
    count = 0
    for name, own, value in expected():
        # Prometheus has no empty labels.
        metric = {"__name__": name, **{label: text for label, text in own.items() if text}}
        found = there.pop(json.dumps(metric, sort_keys=True), None)
        if found != value:
            sys.exit(f"{metric} is {found}, not {value}")
        count += 1
    for rest in there:
        name = json.loads(rest)["__name__"]
        if name.startswith(("ipvs_service_", "ipvs_server_")) and not name.endswith("_info"):
            sys.exit(f"not in JSON: {rest}")
    print(f"{count} samples are those of JSON, and {len(there)} more that JSON has elsewhere")


def node():
    servers = [server for service in listed()["table"]["services"] for server in service["servers"]]
    on = "on (local_address, local_port, remote_address, remote_port, proto, local_mark)"
    # node_exporter books servers of SCTP on the service before, and those of a mark for both families on one.
    ours = 'ipvs_server_weight{proto=~"TCP|UDP"}'
    joined = query(f"node_ipvs_backend_weight == {on} {ours}")
    alike = query(ours)
    if len(joined) != len(alike) or not joined:
        sys.exit(f"{len(joined)} of {len(alike)} join: {joined}")
    both = set(ask("label/__name__/values")) & {"node_ipvs_backend_weight", "ipvs_server_weight"}
    print(f"{len(joined)} of {len(servers)} servers are TCP and UDP, and join; {' and '.join(sorted(both))}")


def panels(path):
    with open(path, encoding="utf-8") as file:
        dashboard = json.load(file)
    empty, count = [], 0
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$job", ".*").replace("$instance", ".*")
            expression = expression.replace("$__rate_interval", "30s")
            count += 1
            if not query(expression):
                empty.append(panel["title"])
    # All is well: no service without a server.
    if empty != ["Services without a server"]:
        sys.exit(f"no answer: {empty}")
    print(f"{count} queries of {len(dashboard['panels'])} panels; all but {empty} have answers, which is empty as it should")


def alerts(*names):
    firing = sorted({alert["labels"]["alertname"] for alert in ask("alerts")["alerts"] if alert["state"] == "firing"})
    if firing != sorted(names):
        sys.exit(f"firing: {firing}")
    groups = ask("rules")["groups"]
    broken = [rule["name"] for group in groups for rule in group["rules"] if rule["health"] != "ok"]
    if broken or not groups:
        sys.exit(f"cannot be evaluated: {broken}")
    print("firing:", ", ".join(firing) or "none", "of", sum(len(group["rules"]) for group in groups))


if __name__ == "__main__":
    {"samples": samples, "node": node, "panels": panels, "alerts": alerts}[sys.argv[1]](*sys.argv[2:])
