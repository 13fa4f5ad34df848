//! Links in Valkey, versioned.
//!
//! A value carries the version of the row it is a copy of; only a newer version
//! replaces an older, whoever writes last. A link that went, or rests, leaves its
//! version without a target, so that a slow reader cannot put the old one back.
//! A cache that is away is not an error: everything works without it.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

use spin_sdk::redis::{Connection, Error, RedisParameter, RedisResult};

use crate::{
    click::{self, Click},
    config::Config,
};

/// How long a value lives, in seconds: the longest that a lost update could be
/// seen by someone who trusts the cache alone.
const LIFETIME: i64 = 60;

/// Key: the link. Arguments: version, value, lifetime. Versions stay below 2^53,
/// up to which numbers of Lua are exact.
const SET_IF_NEWER: &str = "\
local held = redis.call('GET', KEYS[1])
if held then
  local version = tonumber(string.match(held, '^%d+'))
  if version and version >= tonumber(ARGV[1]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1";

/// A link as the cache has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// The version of the row.
    pub version: i64,
    /// Where it leads; None once it is gone or inactive.
    pub link: Option<Link>,
}

/// What a redirect needs to know of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub id: i64,
    pub original_url: String,
}

impl Cached {
    /// `<version> <id> <target>`, or `<version>` alone.
    fn to_value(&self) -> String {
        match &self.link {
            Some(link) => format!("{} {} {}", self.version, link.id, link.original_url),
            None => self.version.to_string(),
        }
    }

    /// None if the value was not written by [`Self::to_value`].
    fn from_value(value: &[u8]) -> Option<Self> {
        let value = std::str::from_utf8(value).ok()?;
        let Some((version, rest)) = value.split_once(' ') else {
            return Some(Self {
                version: value.parse().ok()?,
                link: None,
            });
        };
        let (id, original_url) = rest.split_once(' ')?;
        Some(Self {
            version: version.parse().ok()?,
            link: Some(Link {
                id: id.parse().ok()?,
                original_url: original_url.to_owned(),
            }),
        })
    }
}

/// The cached links.
pub struct Links(Connection);

impl Links {
    /// The instance's handle, opened by the first request that needs one and used
    /// by all: to open one for each and to drop it is a quarter of a cached
    /// redirect's calls. None if there is no Valkey, or none to be reached.
    pub async fn open(config: &Config) -> Option<&'static Self> {
        static LINKS: OnceLock<Links> = OnceLock::new();
        let address = config.valkey_url.as_deref()?;
        if let Some(links) = LINKS.get() {
            return Some(links);
        }
        let opened = answered(Connection::open(address).await)?;
        Some(LINKS.get_or_init(|| Self(opened)))
    }

    /// What the cache knows of a code. None also if it is away.
    pub async fn get(&self, code: &str) -> Option<Cached> {
        let value = answered(self.0.get(key(code)).await)??;
        Cached::from_value(&value)
    }

    /// Writes a link, unless the cache has as new a version of it. Whether the
    /// cache has it now.
    pub async fn put(&self, code: &str, cached: &Cached) -> bool {
        let text = |text: String| RedisParameter::Binary(text.into_bytes());
        let arguments = [
            text(SET_IF_NEWER.to_owned()),
            RedisParameter::Int64(1),
            text(key(code)),
            RedisParameter::Int64(cached.version),
            text(cached.to_value()),
            RedisParameter::Int64(LIFETIME),
        ];
        answered(self.0.execute("EVAL", arguments).await).is_some()
    }

    /// Appends a click to the stream `stream`. Whether it certainly is there: one
    /// that was not acknowledged may be, too.
    pub async fn append(&self, stream: &str, click: &Click<'_>) -> bool {
        let bytes = |text: &str| RedisParameter::Binary(text.as_bytes().to_vec());
        let arguments = [
            bytes(stream),
            bytes("*"),
            bytes(click::ID),
            bytes(click.id),
            bytes(click::URL_ID),
            RedisParameter::Int64(click.url_id),
            bytes(click::DETAILS),
            bytes(click.details),
        ];
        answered(self.0.execute("XADD", arguments).await).is_some()
    }

    /// The last entry of a stream, where it has any.
    pub async fn last_entry(&self, stream: &str) -> Option<Vec<u8>> {
        let ends = [&b"+"[..], b"-"];
        self.entry("XREVRANGE", stream, ends).await
    }

    /// Whether a stream has an entry up to `last`.
    pub async fn has_entry_until(&self, stream: &str, last: &[u8]) -> bool {
        self.entry("XRANGE", stream, [b"-", last]).await.is_some()
    }

    /// The id of the first entry of a range.
    async fn entry(&self, command: &str, stream: &str, ends: [&[u8]; 2]) -> Option<Vec<u8>> {
        let bytes = |bytes: &[u8]| RedisParameter::Binary(bytes.to_vec());
        let arguments = [
            bytes(stream.as_bytes()),
            bytes(ends[0]),
            bytes(ends[1]),
            bytes(b"COUNT"),
            RedisParameter::Int64(1),
        ];
        // A reply within a reply comes flat: the id is the first of it.
        match answered(self.0.execute(command, arguments).await)?
            .into_iter()
            .next()?
        {
            RedisResult::Binary(id) => Some(id),
            _ => None,
        }
    }

    /// Whether Valkey answers.
    pub async fn ping(&self) -> bool {
        let pong = RedisResult::Status("PONG".to_owned());
        answered(self.0.execute("PING", []).await).is_some_and(|answer| answer.contains(&pong))
    }
}

fn key(code: &str) -> String {
    format!("link:{code}")
}

/// Logs when the cache goes away and when it is back, not each time in between.
fn answered<T>(result: Result<T, Error>) -> Option<T> {
    static AWAY: AtomicBool = AtomicBool::new(false);
    match result {
        Ok(value) => {
            if AWAY.load(Ordering::Relaxed) && AWAY.swap(false, Ordering::Relaxed) {
                eprintln!("the cache is back");
            }
            Some(value)
        }
        Err(error) => {
            if !AWAY.swap(true, Ordering::Relaxed) {
                eprintln!("the cache is away, going on without it: {error:?}");
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_written() {
        let link = Link {
            id: 7,
            original_url: "https://example.com/ü?a=b c".into(),
        };
        for cached in [
            Cached {
                version: 3,
                link: Some(link),
            },
            Cached {
                version: i64::MAX,
                link: None,
            },
        ] {
            assert_eq!(
                Cached::from_value(cached.to_value().as_bytes()),
                Some(cached)
            );
        }
    }

    #[test]
    fn what_others_wrote_is_no_link() {
        for value in [
            "",
            "x",
            "1 ",
            "1 2",
            "1 x https://example.com",
            "https://example.com",
        ] {
            assert_eq!(Cached::from_value(value.as_bytes()), None, "{value}");
        }
        assert_eq!(Cached::from_value(b"1 2 \xff"), None);
    }
}
