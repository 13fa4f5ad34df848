//! The works that are measured: what is asked, and of whom.

use http::Method;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The native server that does the same.
    Native,
    /// wasmtime with its own request handler.
    Wasmtime,
    /// This host.
    Warmlink,
}

impl Side {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Wasmtime => "wasmtime",
            Self::Warmlink => "warmlink",
        }
    }
}

/// What a client sends, over and over.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// A walk's number stands where `%d` is.
    pub(crate) path: &'static str,
    /// JSON, or nothing.
    pub(crate) body: &'static str,
    pub(crate) walk: Option<Walk>,
    /// The status of the right answer.
    pub(crate) status: u16,
}

/// Numbers of which each request takes the next, scattered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    pub(crate) count: u64,
    /// Has no divisor in common with `count`, so that every number comes up.
    pub(crate) stride: u64,
    pub(crate) base: u64,
}

impl Request {
    /// The path of one request, for a walk the one that comes at `turn`.
    pub(crate) fn path_at(&self, turn: u64) -> String {
        let Some(walk) = self.walk else {
            return self.path.to_owned();
        };
        let number = turn * walk.stride % walk.count + walk.base;
        self.path
            .replace("%07d", &format!("{number:07}"))
            .replace("%d", &number.to_string())
    }
}

/// One line of the yardstick.
#[derive(Debug)]
pub(crate) struct Work {
    /// As `ONLY` names it.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) request: Request,
    pub(crate) sides: &'static [Side],
    /// Whether a request that is sent twice is another work the second time.
    pub(crate) once: bool,
    /// Whether each request is a visit, which is recorded.
    pub(crate) visit: bool,
}

/// Links that Valkey has, and rows that are asked for by id: the first ones of
/// the table.
pub(crate) const CACHED: u64 = 1_000;

/// Links that only PostgreSQL has.
pub(crate) const UNCACHED: u64 = 500_000;

const OVER_CACHED: Walk = Walk {
    count: CACHED,
    stride: 617,
    base: 0,
};

const BOTH: &[Side] = &[Side::Native, Side::Warmlink];

pub(crate) static HELLO: Work = Work {
    name: "hello",
    title: "hello",
    request: Request {
        method: Method::GET,
        path: "/hello",
        body: "",
        walk: None,
        status: 200,
    },
    sides: &[Side::Native, Side::Wasmtime, Side::Warmlink],
    once: false,
    visit: false,
};

pub(crate) static HEAD: Work = Work {
    name: "head",
    title: "HEAD /CODE, cached",
    request: Request {
        method: Method::HEAD,
        path: "/c%07d",
        body: "",
        walk: Some(OVER_CACHED),
        status: 302,
    },
    sides: BOTH,
    once: false,
    visit: false,
};

pub(crate) static CLICK: Work = Work {
    name: "click",
    title: "GET /CODE, cached, click recorded",
    request: Request {
        method: Method::GET,
        path: "/c%07d",
        body: "",
        walk: Some(OVER_CACHED),
        status: 302,
    },
    sides: BOTH,
    once: false,
    visit: true,
};

pub(crate) static MISS: Work = Work {
    name: "miss",
    title: "GET /CODE, not cached, click recorded",
    request: Request {
        method: Method::GET,
        path: "/p%07d",
        body: "",
        walk: Some(Walk {
            count: UNCACHED,
            stride: 309_017,
            base: 0,
        }),
        status: 302,
    },
    sides: &[Side::Warmlink],
    once: true,
    visit: true,
};

pub(crate) static READ: Work = Work {
    name: "read",
    title: "GET /urls/ID",
    request: Request {
        method: Method::GET,
        path: "/urls/%d",
        body: "",
        walk: Some(Walk {
            base: 1,
            ..OVER_CACHED
        }),
        status: 200,
    },
    sides: BOTH,
    once: false,
    visit: false,
};

pub(crate) static CREATE: Work = Work {
    name: "create",
    title: "POST /urls",
    request: Request {
        method: Method::POST,
        path: "/urls",
        body: r#"{"original_url":"https://example.com/articles/new?ref=bench","title":"New"}"#,
        walk: None,
        status: 201,
    },
    sides: &[Side::Warmlink],
    once: false,
    visit: false,
};

/// All of them, in the order of a run: what fills tables comes last.
pub(crate) static WORKS: [&Work; 6] = [&HELLO, &HEAD, &READ, &CLICK, &MISS, &CREATE];

/// The work of a name.
///
/// # Errors
/// Names those that there are.
pub(crate) fn named(name: &str) -> Result<&'static Work, String> {
    let found = WORKS.into_iter().find(|work| work.name == name);
    found.ok_or_else(|| {
        let names = WORKS.map(|work| work.name).join(", ");
        format!("there are {names}")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_walk_takes_every_number_once() {
        let walks = WORKS.iter().filter(|work| work.request.walk.is_some());
        for work in walks {
            let count = work.request.walk.unwrap().count;
            let paths: HashSet<_> = (0..count).map(|turn| work.request.path_at(turn)).collect();
            assert_eq!(paths.len() as u64, count, "{}", work.name);
        }
    }

    #[test]
    fn paths_are_the_applications() {
        assert_eq!(HELLO.request.path_at(3), "/hello");
        assert_eq!(HEAD.request.path_at(1), "/c0000617");
        assert_eq!(READ.request.path_at(0), "/urls/1");
    }

    #[test]
    fn works_are_known_by_name() {
        assert_eq!(named("head").unwrap().title, HEAD.title);
        assert!(named("x").unwrap_err().contains("hello, head"));
    }
}
