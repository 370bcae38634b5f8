"""What prometheus has, held against what `ipvsadm-rs -L --json` says. The lab's scenario metrics runs it on the director.

    metrics.py samples              every sample of services, servers, timeouts and daemons
    metrics.py node                 node_exporter's own, joined with ours
    metrics.py panels DASHBOARD     every query of the dashboard answers what JSON has
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


def answers():
    """What JSON has for each expression of the dashboard, as numbers in any order: of rates only how many there are."""
    table = listed()["table"]
    services = table["services"]
    servers = [server for service in services for server in service["servers"]]
    used = [server["active_connections"] + server["inactive_connections"] for server in servers]
    tables = table["hash_tables"]
    entries = sum(used) + sum(server["persistent_connections"] for server in servers)
    buckets = table["connection_table_size"]
    if tables:
        entries, buckets = tables["connections"]["entries"], tables["connections"]["buckets"]
    rates = {f"rate(ipvs_service_{name}_total": len(services) for name in COUNTERS}
    rates["rate(ipvs_server_connections_total"] = len(servers)
    values = {f"ipvs_server_{name}": [server[name] for server in servers] for name in GAUGES}
    values["min by (instance) (ipvs_estimation_running"] = [int(table["estimation"]["running"])]
    values["min by (instance) (ipvs_scrape_success"] = [1]
    values["(ipvs_server_active_connections"] = [
        number / server["upper_threshold"] for number, server in zip(used, servers) if server["upper_threshold"]
    ]
    values["(ipvs_hash_table_entries"] = [entries / buckets]
    values["ipvs_service_info"] = [1] * len(services)
    values["ipvs_server_info"] = [server["weight"] for server in servers]
    values["ipvs_daemon_info"] = [1] * len(listed("--daemon")["daemons"])
    # The rules are those that were saved.
    values["ipvs_saved_rules_changes"] = [0]
    return rates, values


def panels(path):
    with open(path, encoding="utf-8") as file:
        dashboard = json.load(file)
    rates, values = answers()
    count, compared = 0, 0
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$job", ".*").replace("$instance", ".*")
            expression = expression.replace("$__rate_interval", "30s")
            count += 1
            found = sorted(float(sample["value"][1]) for sample in query(expression))
            name = target["expr"].split("{")[0]
            if panel["title"] == "Services without a server":
                expected = [1.0] * sum(not any(server["weight"] for server in service["servers"])
                                       for service in listed()["table"]["services"])
            elif name in rates:
                found, expected = len(found), rates[name]
            elif name in values:
                expected = sorted(float(value) for value in values[name])
            elif name == "time() - ipvs_last_update_seconds":
                found, expected = len(found), 1
            else:
                sys.exit(f"{panel['title']}: nothing is known of {name}")
            if isinstance(found, list):
                compared += len(found)
                found, expected = ([round(value, 9) for value in list_] for list_ in (found, expected))
            if found != expected:
                sys.exit(f"{panel['title']}: {found} instead of {expected}")
    print(f"{count} queries of {len(dashboard['panels'])} panels answer as JSON has it, {compared} values")


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
