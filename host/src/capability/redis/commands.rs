//! What the interface's functions mean in commands and replies.

use super::reply::{Item, flatten};
use super::{Caller, Failure, traced, valkey};
use redis::{Cmd, ToRedisArgs, Value, cmd};

/// An argument of `execute`.
pub(super) enum Argument {
    Int(i64),
    Binary(Vec<u8>),
}

impl Caller {
    async fn send(&self, cmd: &Cmd) -> Result<Value, Failure> {
        Ok(self.traced(cmd).await?)
    }

    async fn traced(&self, cmd: &Cmd) -> Result<Value, valkey::Error> {
        let start = || traced::command(cmd, self.session.peer());
        let span = self.work.child(start);
        let reply = self.session.traced(cmd, self.deadline, &span).await;
        if let Err(error) = &reply {
            span.fail(error.kind().as_str());
        }
        reply
    }

    pub(super) async fn publish(&self, channel: &str, payload: &[u8]) -> Result<(), Failure> {
        self.send(cmd("PUBLISH").arg(channel).arg(payload)).await?;
        Ok(())
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        match self.send(cmd("GET").arg(key)).await? {
            Value::Nil => Ok(None),
            Value::BulkString(value) => Ok(Some(value)),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn set(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        self.send(cmd("SET").arg(key).arg(value)).await?;
        Ok(())
    }

    pub(super) async fn incr(&self, key: &str) -> Result<i64, Failure> {
        match self.traced(cmd("INCR").arg(key)).await {
            Ok(Value::Int(value)) => Ok(value),
            Ok(other) => Err(unexpected(&other)),
            // The server has no code of its own for a value that is no whole
            // number, or the largest one: only these words.
            Err(valkey::Error::Server(reply))
                if reply.details().is_some_and(|text| {
                    text.contains("not an integer") || text.contains("would overflow")
                }) =>
            {
                Err(Failure::Type)
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn del(&self, keys: &[String]) -> Result<u32, Failure> {
        self.count(cmd("DEL").arg(keys)).await
    }

    pub(super) async fn sadd(&self, key: &str, values: &[String]) -> Result<u32, Failure> {
        self.count(cmd("SADD").arg(key).arg(values)).await
    }

    pub(super) async fn srem(&self, key: &str, values: &[String]) -> Result<u32, Failure> {
        self.count(cmd("SREM").arg(key).arg(values)).await
    }

    pub(super) async fn smembers(&self, key: &str) -> Result<Vec<String>, Failure> {
        let members = match self.send(cmd("SMEMBERS").arg(key)).await? {
            Value::Set(members) | Value::Array(members) => members,
            other => return Err(unexpected(&other)),
        };
        members
            .into_iter()
            .map(|member| match member {
                Value::BulkString(member) => String::from_utf8(member)
                    .map_err(|_| Failure::other("a member of the set is not UTF-8")),
                other => Err(unexpected(&other)),
            })
            .collect()
    }

    pub(super) async fn execute(
        &self,
        command: &str,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> Result<Vec<Item>, Failure> {
        let mut cmd = cmd(command);
        for argument in arguments {
            match argument {
                Argument::Int(value) => value.write_redis_args(&mut cmd),
                Argument::Binary(value) => value.write_redis_args(&mut cmd),
            }
        }
        flatten(self.send(&cmd).await?)
    }

    async fn count(&self, cmd: &Cmd) -> Result<u32, Failure> {
        match self.send(cmd).await? {
            Value::Int(count) => u32::try_from(count)
                .map_err(|_| Failure::other(format!("the count {count} does not fit 32 bits"))),
            other => Err(unexpected(&other)),
        }
    }
}

/// Such as `QUEUED`, where the guest has a transaction open and asks for a
/// value: only `execute` can say that.
fn unexpected(value: &Value) -> Failure {
    match value {
        Value::SimpleString(status) => Failure::other(format!("the server answered {status}")),
        _ => Failure::other("the server's reply is not of the kind that this function answers"),
    }
}
