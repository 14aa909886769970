"""A replica proves who it is: with nothing but its own variables and Python's standard library."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from roost import Runtime
from support.installation import Installation, until

from e2e.stories import agent, traffic
from e2e.test_isolation import host_addresses, reached

pytestmark = pytest.mark.slow

Deploy = Callable[..., Runtime]
Asked = dict[str, Any]

OWN_TOKEN = """
import base64, json, os, sys, urllib.error, urllib.parse, urllib.request
env = os.environ

def ask(url, token=None, form=None, method=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if form:
        pair = f"{env['ROOST_CLIENT_ID']}:{env['ROOST_CLIENT_SECRET']}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        form = urllib.parse.urlencode(form).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, form, headers, method=method), timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")

def own_token():
    return ask(env["ROOST_TOKEN_URL"], form={"grant_type": "client_credentials"})
"""

LOOK_AROUND = (
    OWN_TOKEN
    + """
_, granted = own_token()
token = granted["access_token"]
base = f"{env['ROOST_URL']}/api/v1/org/{env['ROOST_ORG']}/ws/{env['ROOST_WORKSPACE']}/runtimes"
_, me = ask(f"{base}/{env['ROOST_RUNTIME_ID']}", token)
print(json.dumps({
    "me": me["name"],
    "other": ask(f"{base}/{sys.argv[1]}", token)[0],
    "all": ask(base, token)[0],
    "delete": ask(f"{base}/{env['ROOST_RUNTIME_ID']}", token, method="DELETE")[0],
    "nobody": ask(f"{base}/{env['ROOST_RUNTIME_ID']}")[0],
    "metrics": ask(env["ROOST_URL"] + "/metrics")[0],
    "document": ask(env["ROOST_URL"] + "/openapi.json")[0],
    "keys": len(ask(env["ROOST_JWKS_URL"])[1]["keys"]),
}))
"""
)
JUST_THE_TOKEN = OWN_TOKEN + "\nprint(json.dumps(own_token()))\n"


def inside(runtime: Runtime, script: str, *arguments: str) -> Any:
    done = runtime.exec(["python3", "-c", script, *arguments])
    assert (done.exit_code, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)


def test_a_replica_reads_its_own_runtime_and_nothing_else(deploy: Deploy) -> None:
    runtime, other = deploy(**agent()), deploy(called="other", **agent())
    seen = inside(runtime, LOOK_AROUND, other.name)
    denied = {"other": 404, "all": 403, "delete": 403, "nobody": 401, "metrics": 404, "document": 404}
    assert seen == {"me": runtime.name, "keys": 1, **denied}


def test_the_examples_of_the_page_run_inside_a_replica(deploy: Deploy) -> None:
    runtime = deploy(**agent())
    page = (Path(__file__).parents[2] / "docs/service-accounts.md").read_text()
    [shell] = re.findall(r"^```sh\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    [python] = re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    assert json.loads(runtime.exec(["sh", "-c", shell]).stdout)["token_type"] == "Bearer"
    assert runtime.exec(["python3", "-c", python]).stdout.split() == [runtime.name, "active"]


def test_a_replica_reaches_no_other_port_and_no_other_address_of_its_host(shared: Installation, deploy: Deploy) -> None:
    box = deploy(**agent())
    door = box.exec("echo $ROOST_URL").stdout.strip().removeprefix("http://")
    ports = (shared.api_port, shared.http_port, shared.https_port)
    hosts = (door.partition(":")[0], *host_addresses())
    assert reached(box, *(f"{host}:{port}" for host in hosts for port in ports)) == [door]


def test_a_reset_under_traffic_loses_no_request_and_ends_the_old_secret(shared: Installation, deploy: Deploy) -> None:
    runtime = deploy(**agent())
    _, before = inside(runtime, JUST_THE_TOKEN)
    secret = runtime.exec("echo $ROOST_CLIENT_SECRET").stdout.strip()
    with traffic(shared, runtime) as steady:
        steady.progress(20)
        account = runtime.reset_service_account()
        steady.progress(20)
    assert steady.failures == {}
    assert runtime.exec("echo $ROOST_CLIENT_SECRET").stdout.strip() not in ("", secret)
    status, after = inside(runtime, JUST_THE_TOKEN)
    assert status == 200 and after["access_token"] != before["access_token"]
    stale = {"ROOST_CLIENT_ID": account.client_id, "ROOST_CLIENT_SECRET": secret}
    done = runtime.exec(["python3", "-c", JUST_THE_TOKEN], env=stale)
    assert json.loads(done.stdout)[0] == 401


def test_an_endpoint_opens_to_its_tokens_and_to_its_own_replicas(deploy: Deploy) -> None:
    runtime, other = deploy(**agent()), deploy(called="other", **agent())
    runtime.update_endpoint("DEFAULT", access={"mode": "token"})
    until(lambda: _status(runtime, None) == 401)
    partner = runtime.create_endpoint_token("DEFAULT", "partner")
    until(lambda: _status(runtime, partner.token) == 200)
    _, own = inside(runtime, JUST_THE_TOKEN)
    assert _status(runtime, own["access_token"]) == 200
    _, foreign = inside(other, JUST_THE_TOKEN)
    assert _status(runtime, foreign["access_token"]) in (401, 403)
    echoed = runtime.call("POST", "/echo", headers={"Authorization": f"Bearer {partner.token}"}).json()
    assert partner.token not in json.dumps(echoed)
    runtime.delete_endpoint_token("DEFAULT", partner.id)
    until(lambda: _status(runtime, partner.token) in (401, 403))
    runtime.reset_service_account()
    until(lambda: _status(runtime, own["access_token"]) in (401, 403))
    _, renewed = inside(runtime, JUST_THE_TOKEN)
    assert _status(runtime, renewed["access_token"]) == 200


def _status(runtime: Runtime, token: str | None) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return runtime.call("GET", "/whoami", headers=headers).status_code
