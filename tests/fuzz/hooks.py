"""What the document cannot say to schemathesis."""

import csv
import io
import json
import re
import string
from functools import partial

import schemathesis
from hypothesis import strategies as st

POSITIONS = ("page", "after_id", "before_id")

LABEL = st.text(string.ascii_letters + string.digits + "-_üß漢", min_size=1, max_size=12)
NAME = st.lists(LABEL.map("a{}".format), min_size=1, max_size=4).map(".".join)
HOST = st.one_of(
    NAME,
    NAME.map("{}.".format),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map("[{}]".format),
)
PORT = st.one_of(st.just(""), st.just(":"), st.integers(0, 65535).map(":{}".format))
USER = st.one_of(st.just(""), st.sampled_from(["user@", "us:er:@", "a@b@"]))
# Anything that is neither a space nor a control character.
VISIBLE = st.characters(codec="utf-8", exclude_categories=["Z", "Cc", "Cs"])
REST = st.one_of(
    st.just(""),
    st.tuples(st.sampled_from("/?#\\"), st.text(VISIBLE, max_size=60)).map("".join),
)
SCHEME = st.sampled_from(["http://", "https://", "HTTPS://", "Http://"])

# Which hosts there are is more than a pattern can tell.
URL = st.tuples(SCHEME, USER, HOST, PORT, REST).map("".join)
schemathesis.openapi.format("web-url", URL)


ID = st.integers(1, 2**53 - 1).map(str)
# Few enough to clash now and then.
WORD = st.text(string.ascii_lowercase + ' ,"\nü', min_size=1, max_size=6).map("w{}".format)
CODE = st.text(string.ascii_letters + string.digits + "-_", min_size=3, max_size=32)
TIME = st.datetimes().map("{:%Y-%m-%d %H:%M:%S}".format).filter(lambda time: len(time) == 19)
FLAG = st.sampled_from(["True", "False", "true"])
DETAILS = st.dictionaries(WORD, WORD | st.integers() | st.none(), max_size=2).map(json.dumps)
COLUMNS = {
    "users": {"id": ID, "username": WORD, "email": WORD.map("{}@example.com".format), "created_at": TIME},
    "urls": {
        "id": ID, "user_id": st.just(""), "short_code": CODE, "original_url": URL, "title": st.just("") | WORD,
        "is_active": FLAG, "created_at": TIME, "updated_at": TIME,
    },
    "events": {
        "id": ID, "url_id": ID, "user_id": st.just("") | ID, "event_type": WORD, "timestamp": TIME, "details": DETAILS,
    },
}


def written(header, rows):
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    return text.getvalue()


# What is in a file is more than its schema can tell.
for name, columns in COLUMNS.items():
    rows = st.lists(st.tuples(*columns.values()), max_size=5)
    schemathesis.openapi.format(f"{name}-csv", rows.map(partial(written, list(columns))))


LARGEST = 1e300


def whole(value):
    """JSON Schema takes 1.0 for an integer, and this API does not."""
    if isinstance(value, dict):
        return {key: whole(member) for key, member in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        # Written out, the largest doubles are infinite to the API's reader of JSON.
        return int(max(-LARGEST, min(value, LARGEST)))
    return value


CODES = []


@schemathesis.hook
def after_call(context, case, response):
    """Remembers links that there are."""
    if response.status_code == 201 and case.operation.path == "/urls":
        CODES.append(response.json()["short_code"])


@schemathesis.hook
def before_call(context, case, kwargs):
    """A list is read from one place: two parameters that are each right are not
    right together. Wrong ones stay, to be refused."""
    case.body = whole(case.body)
    # A code that is made up is nobody's. Every other one is to lead somewhere.
    code = str((case.path_parameters or {}).get("code", ""))
    if CODES and re.fullmatch("[A-Za-z0-9_-]{3,32}", code) and len(code) % 2:
        case.path_parameters["code"] = CODES[len(code) % len(CODES) - 1]
    query = case.query or {}
    given = [name for name in POSITIONS if name in query]
    if len(given) > 1 and all(str(query[name]).isdigit() for name in given):
        kept = given[len(str(query)) % len(given)]
        for name in given:
            if name != kept:
                del query[name]
