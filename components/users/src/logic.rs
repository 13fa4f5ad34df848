//! What the users' requests mean.

use shared::{
    Head, Method, Refusal, Reply, fields::Fields, model::User, paging::Page, query::Query, request,
    rules,
};

/// A request understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    List(Page),
    Read(i64),
    Create,
    Change(i64),
    Delete(i64),
}

/// Finds out what a request asks for.
pub(crate) fn route(head: &Head) -> Result<Route, Refusal> {
    let segments = head.segments().ok_or_else(|| head.no_route())?;
    match segments.as_slice() {
        [_] => match head.method {
            Method::Get | Method::Head => {
                Page::parse(Query::new(head.query.as_deref())).map(Route::List)
            }
            Method::Post => Ok(Route::Create),
            _ => Err(head.wrong_method("GET, HEAD, POST")),
        },
        [_, id] => {
            let id = request::path_id(id).ok_or_else(|| head.no_route())?;
            match head.method {
                Method::Get | Method::Head => Ok(Route::Read(id)),
                Method::Put => Ok(Route::Change(id)),
                Method::Delete => Ok(Route::Delete(id)),
                _ => Err(head.wrong_method("GET, HEAD, PUT, DELETE")),
            }
        }
        _ => Err(head.no_route()),
    }
}

/// A user to be made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NewUser {
    pub(crate) username: String,
    pub(crate) email: String,
}

pub(crate) fn new_user(fields: &Fields<'_>) -> Result<NewUser, Refusal> {
    Ok(NewUser {
        username: username(fields.required_string("username")?)?,
        email: email(fields.required_string("email")?)?,
    })
}

/// What a user's change names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
}

impl Change {
    pub(crate) fn is_empty(&self) -> bool {
        self.username.is_none() && self.email.is_none()
    }
}

pub(crate) fn change(fields: &Fields<'_>) -> Result<Change, Refusal> {
    Ok(Change {
        username: fields.string("username")?.map(username).transpose()?,
        email: fields.string("email")?.map(email).transpose()?,
    })
}

fn username(value: String) -> Result<String, Refusal> {
    rules::checked("username", value, rules::username)
}

fn email(value: String) -> Result<String, Refusal> {
    rules::checked("email", value, rules::email)
}

/// A page of users as an answer.
pub(crate) fn list(page: Page, found: Vec<User>, query: Option<&str>) -> Reply {
    let (users, neighbours) = page.cut(found, |user| user.id);
    let reply = Reply::json(200, &users);
    match neighbours.link("/users", query) {
        Some(link) => reply.with("link", link),
        None => reply,
    }
}

pub(crate) fn unknown(id: i64) -> Refusal {
    Refusal::missing(format!("no user has the id {id}"))
}

/// 409, by the key that would have been broken.
pub(crate) fn taken(key: &str) -> Refusal {
    match key {
        "username_claims_pkey" => Refusal::conflict("username: is taken"),
        "email_claims_pkey" => Refusal::conflict("email: is taken"),
        _ => Refusal::conflict("such a user exists"),
    }
}

#[cfg(test)]
mod tests {
    use shared::paging::Position;

    use super::*;

    fn at(method: Method, target: &str) -> Result<Route, Refusal> {
        route(&Head::new(method, target))
    }

    fn fields(body: &str) -> Fields<'_> {
        Fields::parse(None, body.as_bytes()).unwrap()
    }

    #[test]
    fn requests_find_their_route() {
        let page = Page {
            position: Position::After(0),
            rows: 10,
        };
        assert_eq!(
            at(Method::Get, "/users?page=1&per_page=10"),
            Ok(Route::List(page))
        );
        assert_eq!(at(Method::Head, "/users/7"), Ok(Route::Read(7)));
        assert_eq!(at(Method::Post, "/users"), Ok(Route::Create));
        assert_eq!(at(Method::Put, "/users/7"), Ok(Route::Change(7)));
        assert_eq!(at(Method::Delete, "/users/7"), Ok(Route::Delete(7)));
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        for path in [
            "/users/0",
            "/users/abc",
            "/users/-1",
            "/users/1.5",
            "/users/1/x",
        ] {
            for method in [Method::Get, Method::Delete, Method::Other("PATCH".into())] {
                assert_eq!(at(method, path).unwrap_err().status, 404, "{path}");
            }
        }
        let refusal = at(Method::Delete, "/users").unwrap_err();
        assert_eq!(
            (refusal.status, refusal.allow),
            (405, Some("GET, HEAD, POST"))
        );
        let refusal = at(Method::Post, "/users/1").unwrap_err();
        assert_eq!(
            (refusal.status, refusal.allow),
            (405, Some("GET, HEAD, PUT, DELETE"))
        );
        assert_eq!(at(Method::Get, "/users?page=0").unwrap_err().status, 400);
    }

    #[test]
    fn a_new_user_needs_both_fields() {
        let new = new_user(&fields(r#"{"username":"a","email":"a@b","id":9}"#)).unwrap();
        assert_eq!(
            new,
            NewUser {
                username: "a".into(),
                email: "a@b".into()
            }
        );
        for (body, named) in [
            (r#"{"email":"a@b"}"#, "username"),
            (r#"{"username":"a"}"#, "email"),
            (r#"{"username":1,"email":"a@b"}"#, "username"),
            (r#"{"username":"a","email":"b"}"#, "email"),
            (r#"{"username":" ","email":"a@b"}"#, "username"),
            (r#"{"username":null,"email":"a@b"}"#, "username"),
        ] {
            let refusal = new_user(&fields(body)).unwrap_err();
            assert_eq!(refusal.status, 400);
            assert!(
                refusal.message.starts_with(named),
                "{body}: {}",
                refusal.message
            );
        }
    }

    #[test]
    fn a_change_names_what_it_changes() {
        assert!(change(&fields("{}")).unwrap().is_empty());
        assert_eq!(
            change(&fields(r#"{"username":"b"}"#))
                .unwrap()
                .username
                .unwrap(),
            "b"
        );
        assert!(change(&fields(r#"{"email":null}"#)).is_err());
    }

    #[test]
    fn what_is_taken_is_named() {
        assert_eq!(taken("email_claims_pkey").message, "email: is taken");
        assert_eq!(taken("username_claims_pkey").status, 409);
    }
}
