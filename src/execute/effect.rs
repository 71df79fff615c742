//! Effects: what a command leaves in the write log.
//!
//! An effect gives the same result on every node and on every replay: relative times are
//! absolute in it, random choices are their outcome. Several commands become one
//! transaction, so that nobody sees half of them.

use crate::keyspace::DbIndex;
use crate::protocol::Args;
use crate::write_log::WriteLog;

/// What a write command's handler says of its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing was changed.
    None,
    /// The request itself is the effect.
    AsReceived,
    /// The handler has built the effect with [`EffectBuf::command`].
    Rewritten,
    /// Nothing was changed, and the client waits: see [`super::WriteContext::block`].
    Block,
}

/// Collects the commands of one effect.
pub struct EffectBuf {
    /// `MULTI`, then the commands.
    bytes: Vec<u8>,
    commands: usize,
    /// The database of the first command, and the one selected now.
    first: Option<DbIndex>,
    last: DbIndex,
    /// See [`EffectBuf::fields_expire`].
    fields_expire: bool,
}

impl Default for EffectBuf {
    fn default() -> Self {
        EffectBuf {
            bytes: MULTI.to_vec(),
            commands: 0,
            first: None,
            last: DbIndex(0),
            fields_expire: false,
        }
    }
}

impl EffectBuf {
    /// Bytes that the buffer has room for.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether no command was added.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.commands == 0
    }

    /// How many commands were added.
    pub fn commands(&self) -> usize {
        self.commands
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.bytes.truncate(MULTI.len());
        if self.bytes.capacity() > 64 * 1024 {
            self.bytes.shrink_to(4096);
        }
        self.commands = 0;
        self.first = None;
        self.fields_expire = false;
    }

    /// Begins a command of `argc` arguments, its name included, that applies to `db`.
    pub fn command(&mut self, db: DbIndex, argc: usize) -> &mut Self {
        self.select(db);
        self.commands += 1;
        crate::protocol::encode_header(&mut self.bytes, b'*', argc);
        self
    }

    /// Says that the effect tells of fields of hashes that expire: the one thing for which old
    /// servers have no commands.
    pub fn fields_expire(&mut self) -> &mut Self {
        self.fields_expire = true;
        self
    }

    /// Whether it does.
    pub fn tells_of_field_expiry(&self) -> bool {
        self.fields_expire
    }

    /// Adds an argument to the command begun last.
    pub fn arg(&mut self, bytes: &[u8]) -> &mut Self {
        crate::protocol::encode_bulk(&mut self.bytes, bytes);
        self
    }

    /// Adds an integer argument.
    pub fn int(&mut self, n: i64) -> &mut Self {
        let mut digits = itoa::Buffer::new();
        self.arg(digits.format(n).as_bytes())
    }

    /// Adds a request that is an effect as it came.
    pub fn request(&mut self, db: DbIndex, args: Args<'_>) {
        self.select(db);
        self.commands += 1;
        args.encode_into(&mut self.bytes);
    }

    /// Appends the effect to the log and forgets it; gives the offset after it, or `None` when
    /// there is nothing. Where the log takes no effects the offset is that of its end.
    pub fn append_to(&mut self, log: &WriteLog) -> Option<u64> {
        let fields_expire = self.fields_expire;
        let (first, bytes, last) = self.finish()?;
        let offset = match fields_expire {
            true => log.append_with_field_expiry(first, bytes),
            false => log.append(first, bytes),
        };
        if first != last && !log.is_following() {
            log.forget_selected();
        }
        self.clear();
        Some(offset)
    }

    /// The database in which the effect begins, its bytes, and the database in which it
    /// ends. `None` when there is nothing.
    pub fn finish(&mut self) -> Option<(DbIndex, &[u8], DbIndex)> {
        let first = self.first?;
        if self.commands == 1 {
            return Some((first, &self.bytes[MULTI.len()..], self.last));
        }
        self.bytes.extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n");
        Some((first, &self.bytes, self.last))
    }

    fn select(&mut self, db: DbIndex) {
        if self.first.is_none() {
            self.first = Some(db);
            self.last = db;
        } else if self.last != db {
            self.last = db;
            crate::protocol::encode_header(&mut self.bytes, b'*', 2);
            self.arg(b"SELECT").int(i64::from(db.0));
            // A selection is part of the transaction that needs it.
            self.commands += 1;
        }
    }
}

const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_command_stands_alone_and_several_are_a_transaction() {
        let mut effect = EffectBuf::default();
        assert!(effect.finish().is_none());
        effect.command(DbIndex(2), 2).arg(b"DEL").arg(b"k");
        let (first, bytes, last) = effect.finish().expect("one");
        assert_eq!((first, last), (DbIndex(2), DbIndex(2)));
        assert_eq!(bytes, b"*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n");
        effect.clear();
        effect.command(DbIndex(2), 1).arg(b"A");
        effect.command(DbIndex(3), 1).arg(b"B");
        let (first, bytes, last) = effect.finish().expect("two");
        assert_eq!((first, last), (DbIndex(2), DbIndex(3)));
        let text = String::from_utf8_lossy(bytes).replace("\r\n", " ");
        assert_eq!(
            text,
            "*1 $5 MULTI *1 $1 A *2 $6 SELECT $1 3 *1 $1 B *1 $4 EXEC "
        );
    }
}
