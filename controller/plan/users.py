"""How many users a weight reaches: more than the weight says, and never all of them at once."""


def users_touched(weight: float, requests: float, sticky: float = 0.0) -> float:
    """Return the share of users who can be expected to have met the canary: `1 - (1 - w)**k`.

    A weight is a share of requests, and each of them is another draw: at 5 %, of users who send 10
    requests 40 % meet the canary, and of those who send 100 all but 0.6 %. Endings of account ids
    are the other way round: a user is on one side for good, and the share of users is the share.
    With both, who is not caught by an ending is drawn: `s + (1 - s) * (1 - (1 - w)**k)`.

    This assumes that draws are independent of the user: true of a weight drawn at random
    (ingress-nginx), and of turns taken (Traefik) as long as the requests of many users mix. Where a
    cookie keeps a user on one side, count `requests` as 1.

    Args:
        weight: share of requests that reach the canary, from 0 to 1.
        requests: how many one user sends while that weight stands.
        sticky: share of users who are on the canary for good, from 0 to 1.
    """
    missed: float = (1 - weight) ** requests
    return sticky + (1 - sticky) * (1 - missed)
