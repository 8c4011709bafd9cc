"""Before anything is timed: does every contender do the work that the figures are about?"""

import http.client
import json

from .wechat import OPENID

FORGED = {"X-Openid": "forged", "X_Openid": "forged", "X-User-Id": "forged", "X-Unionid": "forged"}
UNKNOWN = "unknown-skey-unknown-skey-unknown-skey-0000"


def get(port, path, headers):
    """Status and body of one request on a connection of its own."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        link.request("GET", path, headers=headers)
        answer = link.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        link.close()


def check(contender):
    """Raises RuntimeError when an identity is wrong or missing, the skey gets through, or a stranger gets in."""
    if contender.skey is None:
        expect(contender, "forwards", get(contender.port, "/", {})[0], 200)
        return
    status, body = get(contender.port, "/whoami", {**FORGED, "skey": contender.skey})
    expect(contender, "lets the user in", status, 200)
    seen = json.loads(body)
    expect(contender, "tells the upstream the openid", seen["openid"], OPENID)
    expect(contender, "tells the upstream the user id", seen["user_id"], contender.user_id)
    expect(contender, "removes a forged unionid", seen["unionid"], "")
    expect(contender, "keeps the skey to itself", seen["skey"], "")
    for headers in ({}, {"skey": UNKNOWN}):
        status, body = get(contender.port, "/whoami", headers)
        expect(contender, "refuses a stranger", status, 401)
        expect(contender, "says why", json.loads(body)["error"], "not_logged_in")


def expect(contender, what, got, wanted):
    if got != wanted:
        raise RuntimeError(f"{contender.name} is not measured, it does other work: {what}: got {got!r}, not {wanted!r}")
