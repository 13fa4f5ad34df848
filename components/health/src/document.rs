//! `/openapi.json`: the public API, told to machines. `tests/e2e/contract/openapi.rs`
//! holds it to what is answered.

use shared::Reply;

const DOCUMENT: &[u8] = include_bytes!("openapi.json");

/// FNV-1a of the document: enough to tell one edition from the next, and known
/// when this is compiled.
const DIGEST: u64 = {
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < DOCUMENT.len() {
        digest = (digest ^ DOCUMENT[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    digest
};

/// The document, or 304 where the client has it. To be asked for anew each time:
/// a swap may change it.
pub(crate) fn reply(if_none_match: Option<&[u8]>) -> Reply {
    let tag = format!("\"{DIGEST:016x}\"");
    let reply = if if_none_match.is_some_and(|value| names(value, tag.as_bytes())) {
        Reply::empty(304)
    } else {
        Reply {
            status: 200,
            headers: vec![("content-type", b"application/json".to_vec())],
            body: DOCUMENT.to_vec(),
        }
    };
    reply.with("etag", tag).with("cache-control", "no-cache")
}

/// Whether a list of tags has this one, weak or strong, or is `*`.
fn names(list: &[u8], tag: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|entry| {
        let entry = entry.trim_ascii();
        entry == b"*" || entry.strip_prefix(b"W/").unwrap_or(entry) == tag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_the_document_is_not_sent_it_again() {
        let sent = reply(None);
        assert_eq!((sent.status, &sent.body[..]), (200, DOCUMENT));
        let tag = sent.header("etag").unwrap().to_vec();
        let text = String::from_utf8(tag.clone()).unwrap();
        for list in [
            text.clone(),
            format!("W/{text}"),
            format!("\"x\", {text}"),
            "*".into(),
        ] {
            let unchanged = reply(Some(list.as_bytes()));
            assert_eq!(unchanged.status, 304, "{list}");
            assert!(unchanged.body.is_empty());
            assert_eq!(unchanged.header("etag"), Some(&tag[..]));
        }
        for list in ["", "\"x\"", "W/\"x\"", text.trim_matches('"')] {
            assert_eq!(reply(Some(list.as_bytes())).status, 200, "{list}");
        }
    }
}
