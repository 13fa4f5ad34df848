//! Values against the wire format: what the format's definition says, what
//! survives a round trip, and what is refused.

mod properties;

use std::ops::Bound::{Excluded, Included, Unbounded};

use bytes::BytesMut;
use postgres_types::{IsNull, Kind as TypeKind, ToSql, Type};

use super::{Interval, Kind, Mismatch, Parameter, ParameterError, Value};

/// The bytes sent for `value` as `$1`; `None` is NULL.
fn encode(value: Value, ty: &Type) -> Result<Option<Vec<u8>>, String> {
    let parameter = Parameter::all(vec![value]).remove(0);
    let mut out = BytesMut::new();
    match parameter.to_sql_checked(ty, &mut out) {
        Ok(IsNull::Yes) => Ok(None),
        Ok(IsNull::No) => Ok(Some(out.to_vec())),
        Err(error) => Err(error.downcast::<ParameterError>().unwrap().to_string()),
    }
}

fn decode(ty: &Type, raw: &[u8]) -> Result<Value, Mismatch> {
    Value::decode(Kind::of(ty), raw)
}

fn round_trip(value: Value, ty: &Type) {
    let raw = encode(value.clone(), ty).unwrap().unwrap();
    assert_eq!(decode(ty, &raw), Ok(value), "as {ty}");
}

fn decimal(text: &str) -> Value {
    Value::Decimal(text.into())
}

fn some(texts: &[Option<&str>]) -> Vec<Option<String>> {
    texts.iter().map(|text| text.map(str::to_owned)).collect()
}

#[test]
fn every_type_survives_a_round_trip() {
    let uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    for (value, ty) in [
        (Value::Boolean(true), Type::BOOL),
        (Value::Int8(i8::MIN), Type::CHAR),
        (Value::Int16(i16::MIN), Type::INT2),
        (Value::Int32(i32::MIN), Type::INT4),
        (Value::Int64(i64::MIN), Type::INT8),
        (Value::Floating32(f32::MIN_POSITIVE), Type::FLOAT4),
        (Value::Floating64(f64::INFINITY), Type::FLOAT8),
        (Value::Str("žluťoučký 🐎".into()), Type::TEXT),
        (Value::Str(String::new()), Type::VARCHAR),
        (Value::Str("x".into()), Type::BPCHAR),
        (Value::Binary(vec![0, 255]), Type::BYTEA),
        (Value::Date((2000, 2, 29)), Type::DATE),
        (Value::Date((-4712, 1, 1)), Type::DATE),
        (Value::Time((23, 59, 59, 999_999_000)), Type::TIME),
        (Value::Time((24, 0, 0, 0)), Type::TIME),
        (
            Value::DateTime((1999, 12, 31, 23, 59, 59, 1_000)),
            Type::TIMESTAMP,
        ),
        (
            Value::DateTime((1969, 12, 31, 0, 0, 0, 0)),
            Type::TIMESTAMPTZ,
        ),
        (Value::Uuid(uuid.into()), Type::UUID),
        (Value::Jsonb(br#"{"a": [1, null]}"#.into()), Type::JSONB),
        (decimal("-12345678901234567890.5000"), Type::NUMERIC),
        (
            Value::RangeInt32((Included(1), Excluded(5))),
            Type::INT4_RANGE,
        ),
        (
            Value::RangeInt64((Unbounded, Included(i64::MAX))),
            Type::INT8_RANGE,
        ),
        (
            Value::RangeDecimal((Excluded("-1.5".into()), Unbounded)),
            Type::NUM_RANGE,
        ),
        (Value::ArrayInt32(vec![Some(1), None]), Type::INT4_ARRAY),
        (Value::ArrayInt64(vec![]), Type::INT8_ARRAY),
        (
            Value::ArrayDecimal(some(&[Some("NaN"), None])),
            Type::NUMERIC_ARRAY,
        ),
        (
            Value::ArrayStr(some(&[Some(""), None, Some("b")])),
            Type::TEXT_ARRAY,
        ),
        (Value::ArrayStr(some(&[Some("b")])), Type::VARCHAR_ARRAY),
        (
            Value::Interval(Interval {
                micros: -1,
                days: 2,
                months: i32::MAX,
            }),
            Type::INTERVAL,
        ),
    ] {
        round_trip(value, &ty);
    }
}

#[test]
fn null_fits_every_parameter() {
    for ty in [Type::INT4, Type::TEXT_ARRAY, Type::POINT] {
        assert_eq!(encode(Value::Null, &ty), Ok(None));
    }
}

#[test]
fn numeric_has_the_documented_wire_form() {
    // 1 2345 . 6780, scale 3.
    let raw = encode(decimal("12345.678"), &Type::NUMERIC)
        .unwrap()
        .unwrap();
    assert_eq!(raw, [0, 3, 0, 1, 0, 0, 0, 3, 0, 1, 0x09, 0x29, 0x1A, 0x7C]);
    // Zero groups are not sent: 0.00001 is one digit of weight -2.
    let raw = encode(decimal("-.00001"), &Type::NUMERIC).unwrap().unwrap();
    assert_eq!(raw, [0, 1, 0xFF, 0xFE, 0x40, 0, 0, 5, 0x03, 0xE8]);
}

#[test]
fn decimal_text_is_normalised_as_the_server_does() {
    for (sent, read) in [
        ("0", "0"),
        ("-0.00", "0.00"),
        ("+007", "7"),
        ("5.", "5"),
        (".5", "0.5"),
        ("10000", "10000"),
        ("100000000.00000001", "100000000.00000001"),
        ("nan", "NaN"),
        ("-Infinity", "-Infinity"),
        ("+infinity", "Infinity"),
    ] {
        let raw = encode(decimal(sent), &Type::NUMERIC).unwrap().unwrap();
        assert_eq!(decode(&Type::NUMERIC, &raw), Ok(decimal(read)), "{sent}");
    }
}

#[test]
fn decimals_beyond_the_servers_limits_are_refused() {
    let largest = format!("{}.{}", "9".repeat(131_072), "9".repeat(16_383));
    round_trip(decimal(&largest), &Type::NUMERIC);
    for text in ["9".repeat(131_073), format!("0.{}", "1".repeat(16_384))] {
        assert!(encode(decimal(&text), &Type::NUMERIC).is_err());
    }
    for text in [
        "", "-", ".", "1e5", "1.2.3", " 1", "1_000", "0x1", "--1", "١",
    ] {
        assert!(encode(decimal(text), &Type::NUMERIC).is_err(), "{text}");
    }
}

#[test]
fn an_empty_range_reads_as_one_that_holds_nothing() {
    assert_eq!(
        decode(&Type::INT4_RANGE, &[1]),
        Ok(Value::RangeInt32((Included(0), Excluded(0))))
    );
}

#[test]
fn text_goes_to_every_textual_type() {
    let colour = Type::new(
        "colour".into(),
        70_000,
        TypeKind::Enum(vec!["red".into()]),
        "public".into(),
    );
    let domain = Type::new(
        "code".into(),
        70_001,
        TypeKind::Domain(Type::TEXT),
        "public".into(),
    );
    for ty in [&colour, &domain, &Type::NAME, &Type::UNKNOWN] {
        let raw = encode(Value::Str("red".into()), ty).unwrap();
        assert_eq!(raw, Some(b"red".to_vec()));
    }
    let colours = Type::new(
        "_colour".into(),
        70_002,
        TypeKind::Array(colour),
        "public".into(),
    );
    let raw = encode(Value::ArrayStr(some(&[Some("red")])), &colours).unwrap();
    assert_eq!(raw.unwrap()[8..12], 70_000_u32.to_be_bytes());
}

#[test]
fn columns_of_other_types_keep_their_bytes() {
    for ty in [Type::NAME, Type::JSON, Type::POINT] {
        assert_eq!(decode(&ty, b"abc"), Ok(Value::Unsupported(b"abc".into())));
    }
}

#[test]
fn refusals_name_position_and_types_but_no_value() {
    let secret = || Value::Str("hunter2".into());
    let mut out = BytesMut::new();
    let parameters = Parameter::all(vec![Value::Int32(1), secret()]);
    let error = parameters[1].to_sql_checked(&Type::INT4, &mut out);
    assert_eq!(
        error.err().unwrap().to_string(),
        "$2: expected int4, got text"
    );
    for (value, ty, expected) in [
        (Value::Int32(7), Type::INT8, "$1: expected int8, got int4"),
        (
            Value::Timestamp(7),
            Type::TIMESTAMP,
            "$1: expected timestamp, got timestamptz",
        ),
        (
            Value::ArrayInt32(vec![]),
            Type::INT8_ARRAY,
            "$1: expected _int8, got int4[]",
        ),
        (secret(), Type::JSONB, "$1: expected jsonb, got text"),
        (
            Value::Uuid("hunter2".into()),
            Type::UUID,
            "$1: the text is not a UUID",
        ),
        (
            Value::Jsonb(b"hunter2".into()),
            Type::JSONB,
            "$1: the text is not JSON",
        ),
    ] {
        assert_eq!(encode(value, &ty), Err(expected.into()));
    }
    for (value, ty) in [
        (Value::Date((2023, 2, 29)), Type::DATE),
        (Value::Date((i32::MAX, 1, 1)), Type::DATE),
        (Value::Time((24, 0, 0, 1_000)), Type::TIME),
        (Value::Time((1, 60, 0, 0)), Type::TIME),
        (Value::Time((1, 0, 0, 1_000_000_000)), Type::TIME),
        (Value::Timestamp(i64::MIN), Type::TIMESTAMPTZ),
        (decimal("hunter2"), Type::NUMERIC),
    ] {
        let text = encode(value, &ty).unwrap_err();
        assert!(
            text.starts_with("$1: ") && !text.contains("hunter2"),
            "{text}"
        );
    }
}

#[test]
fn what_has_no_form_here_is_refused_by_name() {
    let two_dimensions = [
        &[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 23][..],
        &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1],
        &[0, 0, 0, 4, 0, 0, 0, 9],
    ]
    .concat();
    for (ty, raw, expected) in [
        (
            Type::DATE,
            &i32::MAX.to_be_bytes()[..],
            Mismatch::OutOfRange,
        ),
        (
            Type::TIMESTAMPTZ,
            &i64::MIN.to_be_bytes(),
            Mismatch::OutOfRange,
        ),
        (Type::INT4_ARRAY, &two_dimensions, Mismatch::Dimensions(2)),
        (Type::TEXT, &[0xFF], Mismatch::NotUtf8),
        (Type::INT4, &[0; 3], Mismatch::Malformed),
        (Type::INT4, &[0; 5], Mismatch::Malformed),
    ] {
        assert_eq!(decode(&ty, raw), Err(expected), "{ty}");
    }
}
