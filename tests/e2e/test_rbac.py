from e2e.rbac import Right, across_namespaces, granted, used

ROLE = {
    "kind": "Role",
    "rules": [
        {"apiGroups": ["", "apps"], "resources": ["services"], "verbs": ["get", "patch"]},
        {"apiGroups": [""], "resources": ["services/status"], "verbs": ["patch"]},
    ],
}


def asked(method: str, path: str, **query: str) -> dict[str, object]:
    return {"method": method, "path": path, "query": query}


def audited(verb: str, uri: str, **about: str) -> dict[str, object]:
    return {"auditID": "1", "verb": verb, "requestURI": uri, "objectRef": about or None}


def test_what_roles_grant_is_every_combination_of_a_rule() -> None:
    assert granted([ROLE, {"kind": "Service"}]) == {
        Right("", "services", "get"),
        Right("", "services", "patch"),
        Right("apps", "services", "get"),
        Right("apps", "services", "patch"),
        Right("", "services/status", "patch"),
    }


def test_what_the_bed_logged_needs_a_right_for_each_verb() -> None:
    deployments = "/apis/apps/v1/namespaces/shop/deployments"
    assert used(
        [
            asked("GET", "/readyz"),
            asked("GET", "/api/v1/services"),
            asked("GET", "/api/v1/services", watch="true"),
            asked("GET", f"{deployments}/one"),
            asked("POST", deployments),
            asked("PUT", f"{deployments}/one"),
            asked("DELETE", deployments),
            asked("DELETE", f"{deployments}/one"),
            asked("PATCH", "/api/v1/namespaces/shop/services/one/status"),
        ]
    ) == {
        Right("", "services", "list"),
        Right("", "services", "watch"),
        Right("apps", "deployments", "get"),
        Right("apps", "deployments", "create"),
        Right("apps", "deployments", "update"),
        Right("apps", "deployments", "deletecollection"),
        Right("apps", "deployments", "delete"),
        Right("", "services/status", "patch"),
    }


def test_a_namespace_is_an_object_too() -> None:
    assert used([asked("GET", "/api/v1/namespaces/shop")]) == {Right("", "namespaces", "get")}


def test_what_an_api_server_wrote_down_is_read_in_its_own_words() -> None:
    everywhere = "/apis/apps/v1/deployments"
    lines = [
        audited("get", "/readyz"),
        audited(
            "patch",
            "/api/v1/namespaces/shop/services/one/status?fieldManager=serinus",
            resource="services",
            subresource="status",
            namespace="shop",
        ),
        audited(
            "watch", "/apis/apps/v1/deployments?watch=1", resource="deployments", apiGroup="apps"
        ),
    ]
    assert used(lines) == {
        Right("", "services/status", "patch"),
        Right("apps", "deployments", "watch"),
    }
    assert across_namespaces(lines) == [everywhere]


def test_a_request_in_a_namespace_is_not_across_them() -> None:
    here = asked("GET", "/apis/apps/v1/namespaces/shop/deployments")
    everywhere = asked("GET", "/apis/apps/v1/deployments")
    assert across_namespaces([here, everywhere, asked("GET", "/version")]) == [everywhere["path"]]
