//! Replies made up together with what they are flattened to.

use chance::{Chance, cases};

use super::*;

/// A reply, and its items appended.
fn made_up(chance: &mut Chance, depth: usize, items: &mut Vec<Item>) -> Value {
    let leaf = depth == 0 || chance.once_in(2);
    if leaf {
        let text = chance.text(6);
        let (value, item) = match chance.within(0..7) {
            0 => (Value::Nil, Item::Nil),
            1 => (Value::Okay, Item::Status("OK".into())),
            2 => (Value::SimpleString(text.clone()), Item::Status(text)),
            3 => {
                let number = chance.number();
                (Value::Int(number), Item::Int(number))
            }
            4 => {
                let yes = chance.once_in(2);
                (Value::Boolean(yes), Item::Int(yes.into()))
            }
            5 => {
                let bytes = chance.bytes(6);
                (Value::BulkString(bytes.clone()), Item::Binary(bytes))
            }
            _ => {
                let verbatim = Value::VerbatimString {
                    format: redis::VerbatimFormat::Text,
                    text: text.clone(),
                };
                (verbatim, Item::Binary(text.into()))
            }
        };
        items.push(item);
        return value;
    }
    let count = chance.within(0..4);
    let mut inner = || made_up(chance, depth - 1, items);
    match count {
        0 => Value::Map((0..2).map(|_| (inner(), inner())).collect()),
        1 => Value::Set((0..2).map(|_| inner()).collect()),
        count => Value::Array((0..count).map(|_| inner()).collect()),
    }
}

#[test]
fn every_reply_is_its_items_in_order() {
    let mut longest = 0;
    cases(3_000, |chance| {
        let mut items = Vec::new();
        let value = made_up(chance, 5, &mut items);
        longest = longest.max(items.len());
        assert_eq!(flatten(value), Ok(items));
    });
    assert!(longest > 20, "{longest}");
}
