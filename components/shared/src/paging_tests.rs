use super::*;

fn parse(query: &str) -> Result<Page, Refusal> {
    Page::parse(Query::new(Some(query)))
}

#[test]
fn without_parameters_it_is_the_first_hundred() {
    let page = Page::parse(Query::new(None)).unwrap();
    assert_eq!(
        page,
        Page {
            position: Position::After(0),
            rows: 100
        }
    );
}

#[test]
fn pages_become_offsets() {
    assert_eq!(
        parse("page=1&per_page=10").unwrap().position,
        Position::After(0)
    );
    assert_eq!(
        parse("page=3&per_page=10").unwrap().position,
        Position::Offset(20)
    );
    assert_eq!(
        parse("page=9223372036854775807").unwrap().position,
        Position::Offset(i64::MAX)
    );
    assert_eq!(parse("after_id=0").unwrap().position, Position::After(0));
    assert_eq!(parse("before_id=7").unwrap().position, Position::Before(7));
}

#[test]
fn wrong_values_are_named() {
    for (query, name) in [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=a", "page"),
        ("page=1.5", "page"),
        ("page=", "page"),
        ("per_page=0", "per_page"),
        ("per_page=-5", "per_page"),
        ("per_page=1001", "per_page"),
        ("per_page=9223372036854775808", "per_page"),
        ("after_id=-1", "after_id"),
        ("before_id=0", "before_id"),
        ("page=1&after_id=2", "say"),
    ] {
        let refusal = parse(query).unwrap_err();
        assert_eq!(refusal.status, 400);
        assert!(
            refusal.message.starts_with(name),
            "{query}: {}",
            refusal.message
        );
    }
}

fn walk(page: Page, rows: &[i64]) -> (Vec<i64>, Option<i64>, Option<i64>) {
    let (rows, around) = page.cut(rows.to_vec(), |id| *id);
    (rows, around.prev, around.next)
}

#[test]
fn one_row_too_many_means_a_next_page() {
    let page = Page {
        position: Position::After(0),
        rows: 2,
    };
    assert_eq!(walk(page, &[1, 2, 3]), (vec![1, 2], None, Some(2)));
    assert_eq!(walk(page, &[1, 2]), (vec![1, 2], None, None));
    assert_eq!(walk(page, &[]), (vec![], None, None));
    let page = Page {
        position: Position::Offset(2),
        rows: 2,
    };
    assert_eq!(walk(page, &[3, 5, 9]), (vec![3, 5], Some(3), Some(5)));
}

#[test]
fn walking_back_keeps_the_order() {
    let page = Page {
        position: Position::Before(9),
        rows: 2,
    };
    assert_eq!(walk(page, &[8, 7, 6]), (vec![7, 8], Some(7), Some(8)));
    assert_eq!(walk(page, &[8, 7]), (vec![7, 8], None, Some(8)));
}

#[test]
fn links_keep_the_filters() {
    let around = Neighbours {
        next: Some(20),
        prev: Some(11),
        rows: 10,
    };
    assert_eq!(
        around
            .link("/urls", Some("page=2&user_id=3&per_page=10&is_active=true"))
            .unwrap(),
        "</urls?user_id=3&is_active=true&after_id=20&per_page=10>; rel=\"next\", \
         </urls?user_id=3&is_active=true&before_id=11&per_page=10>; rel=\"prev\""
    );
    assert_eq!(
        Neighbours {
            next: None,
            prev: None,
            rows: 1
        }
        .link("/urls", None),
        None
    );
    let around = Neighbours {
        next: Some(1),
        prev: None,
        rows: 1,
    };
    assert_eq!(
        around.link("/urls", Some("a=<x>&b=1")).unwrap(),
        "</urls?b=1&after_id=1&per_page=1>; rel=\"next\""
    );
}
