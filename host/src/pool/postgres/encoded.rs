//! Parameters that have left their owner: already in the form they are sent in.

use bytes::{Bytes, BytesMut};
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

type Failed = Box<dyn std::error::Error + Sync + Send>;

/// One value, written for one type.
#[derive(Debug)]
pub(super) struct Encoded {
    ty: Type,
    format: Format,
    /// `None` is NULL.
    bytes: Option<Bytes>,
}

/// Writes the parameters; `None` if one does not fit or their number is wrong.
/// Sending them in the ordinary way then says what is wrong.
pub(super) fn encode(params: &[&(dyn ToSql + Sync)], types: &[Type]) -> Option<Vec<Encoded>> {
    if params.len() != types.len() {
        return None;
    }
    params
        .iter()
        .zip(types)
        .map(|(param, ty)| one(*param, ty))
        .collect()
}

fn one(param: &(dyn ToSql + Sync), ty: &Type) -> Option<Encoded> {
    let mut bytes = BytesMut::new();
    let bytes = match param.to_sql_checked(ty, &mut bytes).ok()? {
        IsNull::Yes => None,
        IsNull::No => Some(bytes.freeze()),
    };
    Some(Encoded {
        ty: ty.clone(),
        format: param.encode_format(ty),
        bytes,
    })
}

impl ToSql for Encoded {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        if *ty != self.ty {
            return Err(format!("the parameter's type changed from {} to {ty}", self.ty).into());
        }
        let Some(bytes) = &self.bytes else {
            return Ok(IsNull::Yes);
        };
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        self.format
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_once_and_for_its_type_only() {
        let encoded = encode(&[&7_i32, &None::<&str>], &[Type::INT4, Type::TEXT]).unwrap();
        let mut out = BytesMut::new();
        assert!(matches!(
            encoded[0].to_sql(&Type::INT4, &mut out),
            Ok(IsNull::No)
        ));
        assert_eq!(&out[..], 7_i32.to_be_bytes());
        assert!(matches!(
            encoded[1].to_sql(&Type::TEXT, &mut out),
            Ok(IsNull::Yes)
        ));
        assert!(encoded[0].to_sql(&Type::FLOAT4, &mut out).is_err());
    }

    #[test]
    fn what_does_not_fit_is_left_to_the_driver() {
        assert!(encode(&[&7_i32], &[Type::TEXT]).is_none());
        assert!(encode(&[&7_i32], &[]).is_none());
    }
}
