//! Generated values and generated rubbish. The seed is fixed: a failure repeats.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::*;

const ROUNDS: usize = 20_000;

fn digits(rng: &mut StdRng, most: usize) -> String {
    // Zeros are over-represented: groups of them are where the wire format is
    // delicate.
    (0..rng.random_range(0..=most))
        .map(|_| {
            if rng.random() {
                '0'
            } else {
                rng.random_range('0'..='9')
            }
        })
        .collect()
}

/// What the server would print for these parts.
fn printed(negative: bool, integer: &str, fraction: &str) -> String {
    let zero = !integer
        .bytes()
        .chain(fraction.bytes())
        .any(|digit| digit != b'0');
    let sign = if negative && !zero { "-" } else { "" };
    let integer = match integer.trim_start_matches('0') {
        "" => "0",
        significant => significant,
    };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{integer}{point}{fraction}")
}

#[test]
fn every_decimal_survives_a_round_trip() {
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..chance::rounds(ROUNDS) {
        let (integer, fraction) = (digits(&mut rng, 40), digits(&mut rng, 40));
        if integer.is_empty() && fraction.is_empty() {
            continue;
        }
        let negative: bool = rng.random();
        let sent = format!("{}{integer}.{fraction}", if negative { "-" } else { "" });
        let raw = encode(decimal(&sent), &Type::NUMERIC).unwrap().unwrap();
        assert_eq!(
            decode(&Type::NUMERIC, &raw),
            Ok(decimal(&printed(negative, &integer, &fraction))),
            "{sent}"
        );
    }
}

#[test]
fn every_instant_survives_a_round_trip() {
    let mut rng = StdRng::seed_from_u64(2);
    for _ in 0..chance::rounds(ROUNDS) {
        // 4713 BC to 262142, the calendar's last year.
        let micros: i64 = rng.random_range(-211_813_488_000_000_000..8_209_000_000_000_000_000);
        let value = decode(&Type::TIMESTAMP, &micros.to_be_bytes()).unwrap();
        let raw = encode(value, &Type::TIMESTAMP).unwrap().unwrap();
        assert_eq!(raw, micros.to_be_bytes());

        let days: i32 = rng.random_range(-2_451_545..95_000_000);
        let value = decode(&Type::DATE, &days.to_be_bytes()).unwrap();
        assert_eq!(
            encode(value, &Type::DATE).unwrap().unwrap(),
            days.to_be_bytes()
        );
    }
}

#[test]
fn a_timestamp_counts_from_1970() {
    let mut rng = StdRng::seed_from_u64(3);
    for _ in 0..chance::rounds(ROUNDS) {
        let seconds: i64 = rng.random_range(-200_000_000_000..9_000_000_000_000);
        let raw = encode(Value::Timestamp(seconds), &Type::TIMESTAMPTZ)
            .unwrap()
            .unwrap();
        let micros = i64::from_be_bytes(raw.try_into().unwrap());
        assert_eq!(micros, (seconds - 946_684_800) * 1_000_000);
    }
}

const TYPES: [Type; 23] = [
    Type::BOOL,
    Type::CHAR,
    Type::INT2,
    Type::INT4,
    Type::INT8,
    Type::FLOAT4,
    Type::FLOAT8,
    Type::TEXT,
    Type::BYTEA,
    Type::DATE,
    Type::TIME,
    Type::TIMESTAMP,
    Type::UUID,
    Type::JSONB,
    Type::NUMERIC,
    Type::INT4_RANGE,
    Type::INT8_RANGE,
    Type::NUM_RANGE,
    Type::INT4_ARRAY,
    Type::INT8_ARRAY,
    Type::NUMERIC_ARRAY,
    Type::TEXT_ARRAY,
    Type::INTERVAL,
];

/// Bytes that look enough like the format to get past its first checks.
fn rubbish(rng: &mut StdRng) -> Vec<u8> {
    let mut raw = vec![0; rng.random_range(0..64)];
    rng.fill(&mut raw[..]);
    for byte in &mut raw {
        match rng.random_range(0..4) {
            0 => *byte %= 9,
            1 | 2 => *byte = 0,
            _ => {}
        }
    }
    raw
}

#[test]
fn no_bytes_make_a_decoder_panic_and_what_is_read_can_be_sent_back() {
    let mut rng = StdRng::seed_from_u64(4);
    let mut read = [0; TYPES.len()];
    for _ in 0..chance::rounds(ROUNDS) {
        let raw = rubbish(&mut rng);
        for (ty, read) in TYPES.iter().zip(&mut read) {
            let Ok(value) = decode(ty, &raw) else {
                continue;
            };
            *read += 1;
            // JSON is the server's to check when it comes from there.
            let Ok(sent) = encode(value, ty) else {
                assert_eq!(*ty, Type::JSONB);
                continue;
            };
            let again = decode(ty, &sent.unwrap()).unwrap();
            let resent = encode(again.clone(), ty).unwrap().unwrap();
            let third = decode(ty, &resent).unwrap();
            // NaN is equal to nothing, its text is.
            assert_eq!(format!("{third:?}"), format!("{again:?}"), "{ty}");
        }
    }
    for (ty, read) in TYPES.iter().zip(read) {
        assert!(read > 0, "no rubbish was ever a valid {ty}");
    }
}

#[test]
fn a_damaged_value_never_makes_a_decoder_panic() {
    let mut rng = StdRng::seed_from_u64(5);
    let bounds = (
        Included("-1234.5".to_owned()),
        Excluded("99999999".to_owned()),
    );
    for (value, ty) in [
        (decimal("-12345678901234567890.5"), Type::NUMERIC),
        (Value::RangeDecimal(bounds), Type::NUM_RANGE),
        (
            Value::ArrayDecimal(some(&[Some("1.5"), None, Some("NaN")])),
            Type::NUMERIC_ARRAY,
        ),
        (
            Value::ArrayStr(some(&[Some("one"), None])),
            Type::TEXT_ARRAY,
        ),
        (
            Value::RangeInt64((Included(1), Excluded(2))),
            Type::INT8_RANGE,
        ),
    ] {
        let whole = encode(value, &ty).unwrap().unwrap();
        for len in 0..whole.len() {
            assert!(
                decode(&ty, &whole[..len]).is_err(),
                "{ty} cut to {len} bytes"
            );
        }
        for _ in 0..chance::rounds(ROUNDS) {
            let mut damaged = whole.clone();
            let at = rng.random_range(0..damaged.len());
            damaged[at] ^= 1 << rng.random_range(0..8);
            let _ = decode(&ty, &damaged);
        }
    }
}
