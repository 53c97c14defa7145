"""The table of roles, and the identities that the guard makes of a request."""

import pytest

from asrkit.config import TrainConfig
from asrkit.hub import credentials
from asrkit.runs import ownership
from asrkit.runs.ownership import PRIVATE, SHARED, Ownership
from asrkit.ui.security import guard, permissions
from asrkit.ui.security.deployment import make_deployment
from asrkit.ui.security.permissions import Action, Identity, PermissionDenied, Role
from tests.support import coroutines

OPERATOR = permissions.OPERATOR
ANN = Identity(Role.VISITOR, "ann", "a" * 24, "visitor:" + "a" * 24)
ANYBODY = Identity(Role.ANONYMOUS, "", "b" * 24, "visitor:" + "b" * 24)


@pytest.fixture
def make_run(tmp_path):
    from asrkit.runs.store import RunStore

    def make(owner, visibility=PRIVATE):
        run = RunStore(tmp_path / "runs").create(TrainConfig())
        ownership.write_ownership(run, Ownership(owner, visibility))
        return run

    return make


@pytest.mark.parametrize(
    ("action", "operator", "visitor", "anonymous"),
    [
        (Action.VIEW_PAGE, True, True, True),
        (Action.TRANSCRIBE, True, True, True),
        (Action.USE_OWN_DATA, True, True, False),
        (Action.START_RUN, True, False, False),
        (Action.TRAIN_HERE, True, False, False),
        (Action.RENT_MACHINE, True, False, False),
        (Action.MANAGE_QUEUE, True, False, False),
        (Action.IMPORT_RUN, True, False, False),
        (Action.USE_FOREIGN_MODELS, True, False, False),
        (Action.READ_LOCAL_PATHS, True, False, False),
    ],
)
def test_each_role_may_do_what_the_table_says(action, operator, visitor, anonymous):
    allowed = [permissions.is_allowed(who, action) for who in (OPERATOR, ANN, ANYBODY)]
    assert allowed == [operator, visitor, anonymous]
    assert not permissions.is_allowed(permissions.NOBODY, action)


@pytest.mark.parametrize(
    ("grants", "may_start", "may_train_here", "may_rent"),
    [
        ({Action.START_RUN}, True, True, False),
        ({Action.RENT_MACHINE}, True, False, True),
        ({Action.START_RUN, Action.RENT_MACHINE}, True, True, True),
    ],
)
def test_training_here_and_renting_are_allowed_separately(grants, may_start, may_train_here, may_rent):
    who = Identity(Role.VISITOR, grants=frozenset(grants))
    actions = (Action.START_RUN, Action.TRAIN_HERE, Action.RENT_MACHINE)
    assert [permissions.is_allowed(who, action) for action in actions] == [may_start, may_train_here, may_rent]


@pytest.mark.parametrize("action", [Action.SEE_RUN, Action.CONTROL_RUN, Action.READ_RUN_FILES, Action.PUBLISH])
def test_run_belongs_to_who_started_it(make_run, action):
    run = make_run(ANN.owner_id)
    assert [permissions.is_allowed(who, action, run) for who in (OPERATOR, ANN, ANYBODY)] == [True, True, False]
    shared = make_run(ANN.owner_id, SHARED)
    is_shown = action == Action.SEE_RUN
    assert [permissions.is_allowed(who, action, shared) for who in (OPERATOR, ANYBODY)] == [True, is_shown]


def test_run_of_an_older_version_is_the_operators(make_run):
    run = make_run(ANN.owner_id)
    for content in (None, "{", "[]", '{"owner": 7, "visibility": "everybody"}'):
        (run.path / "run.json").unlink(missing_ok=True)
        if content is not None:
            (run.path / "run.json").write_text(content)
        assert ownership.read_ownership(run) == Ownership(ownership.OPERATOR, PRIVATE)


def test_other_values_of_run_json_are_kept(make_run):
    run = make_run(ANN.owner_id)
    (run.path / "run.json").write_text('{"name": "first try", "owner": "x"}')
    ownership.write_ownership(run, Ownership("y", SHARED))
    assert '"first try"' in (run.path / "run.json").read_text()
    assert ownership.read_ownership(run) == Ownership("y", SHARED)


def test_grants_extend_the_table():
    trusted = Identity(Role.VISITOR, grants=frozenset({Action.START_RUN}))
    permissions.authorize(trusted, Action.START_RUN)
    with pytest.raises(PermissionDenied, match="You may not start a run; ask whoever runs this app"):
        permissions.authorize(ANN, Action.START_RUN)
    with pytest.raises(PermissionDenied, match="sign in"):
        permissions.authorize(ANYBODY, Action.USE_OWN_DATA)


def identify(deployment, session=None, **headers):
    """Return the identity that the app behind the guard sees; the status of a refusal."""
    seen = []

    async def app(scope, receive, send):
        seen.append(permissions.current_identity())
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        if message["type"] == "http.response.start":
            seen.append(message["status"])

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/config",
        "query_string": b"",
        "session": session or {},
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    coroutines.run(guard.Guard(app, deployment)(scope, None, send))
    return seen[0]


def space(**environ):
    variables = {"SPACE_ID": "ann/asr", "SPACE_HOST": "ann-asr.example", "OAUTH_CLIENT_ID": "x", **environ}
    return make_deployment("0.0.0.0", 7860, environ=variables)


def signed_in(name):
    return {"oauth_info": {"userinfo": {"preferred_username": name}, "expires_at": 4e9}}


def test_space_knows_its_operators_and_visitors():
    deployment, host = space(ASRKIT_OPERATORS="eve, dan", ASRKIT_VISITORS_TRAIN="1"), "ann-asr.example"
    for name in ("ann", "Ann", "dan"):
        assert identify(deployment, signed_in(name), host=host).role == Role.OPERATOR
    bob, again = (identify(deployment, signed_in(name), host=host) for name in ("bob", "Bob"))
    assert bob.role == Role.VISITOR and bob.folder == again.folder != "" and Action.START_RUN in bob.grants
    assert identify(deployment, host=host).role == Role.ANONYMOUS
    expired = {"oauth_info": {"userinfo": {"preferred_username": "ann"}, "expires_at": 1}}
    assert identify(deployment, expired, host=host).role == Role.ANONYMOUS


def test_token_of_a_visitor_is_kept_only_where_visitors_may_rent(monkeypatch):
    monkeypatch.setattr(credentials, "_kept_tokens", {})
    session, host = signed_in("bob"), "ann-asr.example"
    session["oauth_info"]["access_token"] = "hf_oauth_bob"
    bob = identify(space(ASRKIT_VISITORS_TRAIN="1"), session, host=host)
    assert credentials.recall_token(bob.owner_id) == ""
    renting = space(ASRKIT_VISITORS_RENT="1", OAUTH_SCOPES="openid profile jobs contribute-repos")
    assert Action.RENT_MACHINE in identify(renting, session, host=host).grants
    assert credentials.recall_token(bob.owner_id) == "hf_oauth_bob" and "hf_oauth_bob" not in repr(bob)
    identify(renting, signed_in("ann"), host=host)
    assert list(credentials._kept_tokens) == [bob.owner_id], "nobody else's"
    credentials.keep_token(bob.owner_id, "hf_oauth_bob", expires_s=1.0)
    assert credentials.recall_token(bob.owner_id) == ""


def test_space_of_an_organisation_is_operated_by_its_administrators():
    deployment, host = space(SPACE_ID="Lab/asr"), "ann-asr.example"

    def role(name, *orgs):
        session = signed_in(name)
        session["oauth_info"]["userinfo"]["orgs"] = list(orgs)
        return identify(deployment, session, host=host)

    lab = {"preferred_username": "lab"}
    assert role("ann", lab | {"roleInOrg": "admin"}).role == Role.OPERATOR
    for wrong in (lab, lab | {"roleInOrg": "write"}):
        member = role("ann", wrong)
        assert member.role == Role.VISITOR and member.may_own
    other = role("ann", {"preferred_username": "lab2", "roleInOrg": "admin"}, None, {"roleInOrg": "admin"})
    assert other.role == Role.VISITOR and not other.may_own
    assert not role("ann").may_own and identify(deployment, signed_in("ann"), host=host).may_own
    named = space(SPACE_ID="lab/asr", ASRKIT_OPERATORS="ann")
    assert identify(named, signed_in("ann"), host=host).role == Role.OPERATOR


def test_token_and_password_do_not_apply_on_a_space():
    deployment = space(ASRKIT_PASSWORD="long enough")
    bearer = identify(deployment, host="ann-asr.example", authorization=f"Bearer {deployment.token}")
    assert bearer.role == Role.ANONYMOUS
    assert identify(deployment, host="other.example") == 403


def test_server_has_a_password():
    deployment = make_deployment("0.0.0.0", 7860, environ={"ASRKIT_PASSWORD": "long enough"})
    assert deployment.password == "long enough"
    assert identify(deployment, host="127.0.0.1:7860") == 401
    token = f"Bearer {deployment.token}"
    assert identify(deployment, host="127.0.0.1:7860", authorization=token) == OPERATOR
    made = make_deployment("0.0.0.0", 7860, environ={})
    assert len(made.password) >= 8 and made.password in made.describe()
    assert "long enough" not in deployment.describe()


def test_public_url_is_an_allowed_host():
    deployment = make_deployment("127.0.0.1", 7860, "https://asr.example.org/lab", environ={})
    token = f"Bearer {deployment.token}"
    assert identify(deployment, host="asr.example.org", authorization=token) == OPERATOR
    assert deployment.is_secure and deployment.link.startswith("https://asr.example.org/lab/?token=")


def test_cookies_stay_below_the_path_of_the_public_url():
    """On a JupyterHub, the other users' servers have the same host name."""
    deployment = make_deployment("127.0.0.1", 7860, "https://hub.example.org/user/ann/proxy/7860", environ={})
    cookie = guard.Guard(None, deployment)._make_cookie("name", "value", 60)
    assert "; Path=/user/ann/proxy/7860/; " in cookie and "SameSite=Strict; Secure" in cookie
    local = make_deployment("127.0.0.1", 7860, environ={})
    assert "; Path=/; " in guard.Guard(None, local)._make_cookie("name", "value", 60)
