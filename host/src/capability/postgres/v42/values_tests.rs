use super::*;
use tokio_postgres::types::Kind as TypeKind;

/// A parameter, the neutral value, and the value read: one and the same.
macro_rules! both_ways {
    ($($case:ident => $neutral:ident ($value:expr)),* $(,)?) => {$(
        let value = || $value;
        let neutral = Value::from(ParameterValue::$case(value()));
        assert_eq!(neutral, Value::$neutral(value()));
        match DbValue::from(neutral) {
            DbValue::$case(read) => assert_eq!(read, value()),
            other => panic!("{other:?}"),
        }
    )*};
}

#[test]
fn plain_values_are_the_same_both_ways() {
    both_ways! {
        Boolean => Boolean(true),
        Int8 => Int8(-8),
        Int16 => Int16(-16),
        Int32 => Int32(-32),
        Int64 => Int64(-64),
        Floating32 => Floating32(0.5),
        Floating64 => Floating64(-0.25),
        Str => Str("x".to_owned()),
        Binary => Binary(vec![0, 255]),
        Date => Date((2000, 2, 29)),
        Time => Time((23, 59, 58, 7)),
        Datetime => DateTime((2000, 2, 29, 1, 2, 3, 4)),
        Timestamp => Timestamp(-1),
        Uuid => Uuid("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11".to_owned()),
        Jsonb => Jsonb(b"{}".to_vec()),
        Decimal => Decimal("1.50".to_owned()),
        ArrayInt32 => ArrayInt32(vec![Some(1), None]),
        ArrayInt64 => ArrayInt64(vec![None, Some(2)]),
        ArrayDecimal => ArrayDecimal(vec![Some("1.5".to_owned()), None]),
        ArrayStr => ArrayStr(vec![Some(String::new()), None]),
    }
}

#[test]
fn null_interval_and_bytes_keep_their_meaning() {
    assert_eq!(Value::from(ParameterValue::DbNull), Value::Null);
    assert!(matches!(DbValue::from(Value::Null), DbValue::DbNull));
    let parts = Interval {
        micros: 1,
        days: -2,
        months: 3,
    };
    let neutral = Value::from(ParameterValue::Interval(parts));
    let expected = value::Interval {
        micros: 1,
        days: -2,
        months: 3,
    };
    assert_eq!(neutral, Value::Interval(expected));
    let DbValue::Interval(read) = DbValue::from(neutral) else {
        panic!("no interval");
    };
    assert_eq!((read.micros, read.days, read.months), (1, -2, 3));
    let bytes = DbValue::from(Value::Unsupported(vec![9]));
    assert!(matches!(bytes, DbValue::Unsupported(bytes) if bytes == [9]));
}

#[test]
fn ranges_keep_their_ends() {
    use RangeBoundKind::{Exclusive, Inclusive};
    for (ends_of, neutral) in [
        (
            (Some((1, Inclusive)), Some((5, Exclusive))),
            (Bound::Included(1), Bound::Excluded(5)),
        ),
        (
            (None, Some((5, Inclusive))),
            (Bound::Unbounded, Bound::Included(5)),
        ),
        (
            (Some((1, Exclusive)), None),
            (Bound::Excluded(1), Bound::Unbounded),
        ),
        ((None, None), (Bound::Unbounded, Bound::Unbounded)),
    ] {
        let sent = Value::from(ParameterValue::RangeInt32(ends_of));
        assert_eq!(sent, Value::RangeInt32(neutral));
        let DbValue::RangeInt32(read) = DbValue::from(sent) else {
            panic!("no range");
        };
        assert_eq!(read, ends_of);
    }
    let wide = (Some((i64::MIN, Inclusive)), None);
    let sent = Value::from(ParameterValue::RangeInt64(wide));
    assert!(matches!(DbValue::from(sent), DbValue::RangeInt64(read) if read == wide));
    let decimal = || (None, Some(("1.5".to_owned(), Exclusive)));
    let sent = Value::from(ParameterValue::RangeDecimal(decimal()));
    assert!(matches!(DbValue::from(sent), DbValue::RangeDecimal(read) if read == decimal()));
}

#[test]
fn a_type_without_a_case_goes_by_its_name() {
    assert!(matches!(
        data_type(&Type::TIMESTAMPTZ),
        DbDataType::Datetime
    ));
    assert!(matches!(
        data_type(&Type::NUM_RANGE),
        DbDataType::RangeDecimal
    ));
    let mood = Type::new(
        "mood".into(),
        70_000,
        TypeKind::Enum(vec![]),
        "public".into(),
    );
    for (ty, name) in [(Type::POINT, "point"), (Type::JSON, "json"), (mood, "mood")] {
        assert!(matches!(data_type(&ty), DbDataType::Other(other) if other == name));
    }
}
