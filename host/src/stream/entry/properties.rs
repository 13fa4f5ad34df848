//! Entries made up, read back from the JSON that a component gets.

use chance::cases;

use super::*;

fn read_back(value: &serde_json::Value) -> Vec<u8> {
    match value {
        serde_json::Value::String(text) => text.as_bytes().to_vec(),
        hex => hex::decode(hex["hex"].as_str().expect("hex")).expect("hex"),
    }
}

#[test]
fn a_component_reads_the_fields_that_were_appended() {
    cases(1_500, |chance| {
        let id = format!("{}-{}", chance.number().unsigned_abs(), chance.within(0..9));
        let count = chance.within(0..5);
        // Names of their own: JSON has one value for each.
        let field = |at: usize| {
            let value = match chance.once_in(2) {
                true => chance.bytes(12),
                false => chance.text(12).into_bytes(),
            };
            (format!("{at}{}", chance.text(4)).into_bytes(), value)
        };
        let fields: Vec<Field> = (0..count).map(field).collect();
        let flat = |bytes: &[u8]| Value::BulkString(bytes.to_vec());
        let pairs = fields.iter().map(|(name, value)| (flat(name), flat(value)));
        let reply = match count % 2 {
            0 => Value::Map(pairs.collect()),
            _ => Value::Array(pairs.flat_map(|(name, value)| [name, value]).collect()),
        };
        let entries = Value::Array(vec![Value::Array(vec![flat(id.as_bytes()), reply])]);
        let batch = Batch::of_entries(entries).expect("an entry");
        let [entry] = &batch.entries[..] else {
            panic!("{batch:?}");
        };
        assert_eq!((&entry.id, &entry.fields), (&id, &fields));
        let json: serde_json::Value = serde_json::from_str(&entry.json).expect("JSON");
        assert_eq!(json["id"], id);
        let told = json["fields"].as_object().expect("an object");
        assert_eq!(told.len(), fields.len());
        for (name, value) in &fields {
            let name = std::str::from_utf8(name).expect("made of text");
            assert_eq!(read_back(&told[name]), *value);
        }
    });
}
