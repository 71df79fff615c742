//! Reading an RDB file item by item.
//!
//! ```text
//! "REDIS" version (4 digits), or "VALKEY" version (3 digits)
//! │ FA name value │ F5 function │ FE database │ FB keys volatile │ …
//! │ [FD seconds, or FC milliseconds] [F8 idle] [F9 frequency] type key object │ …
//! │ FF │ checksum (8)
//! ```

use super::codes;
use super::error::{Problem, RdbError, Result};
use super::object::{module_name, read_object};
use super::source::Source;
use super::value::Value;
use std::io::Read;

/// Something that a file holds.
#[derive(Debug, PartialEq)]
pub enum Item {
    /// Something about the file itself.
    Aux(Vec<u8>, Vec<u8>),
    /// The code of a library of functions.
    Function(Vec<u8>),
    /// How many keys the database has, and how many of them expire.
    Sizes(u64, u64),
    /// A key.
    Key(Key),
}

/// A key with its value.
#[derive(Debug, PartialEq)]
pub struct Key {
    /// Where the key's type stands in the file.
    pub offset: u64,
    /// The number of the database.
    pub db: u32,
    /// Its name.
    pub name: Vec<u8>,
    /// When it expires, in Unix milliseconds.
    pub expires_at: Option<i64>,
    /// Seconds since it was last used.
    pub idle_seconds: Option<u64>,
    /// The logarithmic counter of its use.
    pub frequency: Option<u8>,
    /// What it holds.
    pub value: Value,
}

/// Reads a file.
pub struct FileReader<R> {
    source: Source<R>,
    version: u32,
    db: u32,
    checks: bool,
    ended: bool,
}

impl<R: Read> FileReader<R> {
    /// Reads the head. The checksum is looked at unless `checks` is false.
    ///
    /// # Errors
    /// When this is no RDB file, or one of an unknown version.
    pub fn new(reader: R, checks: bool) -> Result<Self> {
        let mut source = Source::new(reader, checks);
        let version = read_head(&mut source)?;
        if !codes::is_known(version) {
            return Err(source.error(Problem::Version(version)));
        }
        Ok(FileReader {
            source,
            version,
            db: 0,
            checks,
            ended: false,
        })
    }

    /// The version of the format.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// How many bytes were taken.
    pub fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// What comes behind the file: what was read already, and the reader.
    pub fn into_rest(self) -> (Vec<u8>, R) {
        self.source.into_rest()
    }

    /// The next item; `None` at the end, when the checksum has been found right.
    ///
    /// # Errors
    /// When the file is damaged, cut off, or holds what cannot be held here.
    pub fn next_item(&mut self) -> Result<Option<Item>> {
        if self.ended {
            return Ok(None);
        }
        let (mut expires_at, mut idle_seconds, mut frequency) = (None, None, None);
        loop {
            let offset = self.source.offset();
            match self.source.byte()? {
                codes::END => {
                    self.end()?;
                    return Ok(None);
                }
                codes::SELECT => self.select()?,
                codes::RESIZE => {
                    let sizes = (self.source.length()?, self.source.length()?);
                    return Ok(Some(Item::Sizes(sizes.0, sizes.1)));
                }
                codes::AUX => {
                    let name = self.source.string()?;
                    return Ok(Some(Item::Aux(name, self.source.string()?)));
                }
                codes::FUNCTION => return Ok(Some(Item::Function(self.source.string()?))),
                codes::FUNCTION_OLD => {
                    return self
                        .source
                        .malformed("functions of a pre-release of Redis 7");
                }
                codes::MODULE_AUX => self.skip_module_aux()?,
                codes::SLOT_INFO => {
                    for _ in 0..3 {
                        self.source.length()?;
                    }
                }
                codes::SLOT_IMPORT if self.version >= codes::FIRST_VALKEY => self.skip_import()?,
                codes::EXPIRY_MS => expires_at = Some(self.source.time_ms()?),
                codes::EXPIRY_SECONDS => {
                    let seconds = i32::from_le_bytes(self.source.array()?);
                    expires_at = Some(i64::from(seconds) * 1000);
                }
                codes::IDLE => idle_seconds = Some(self.source.length()?),
                codes::FREQUENCY => frequency = Some(self.source.byte()?),
                kind => {
                    return Ok(Some(Item::Key(Key {
                        offset,
                        db: self.db,
                        name: self.source.string()?,
                        expires_at,
                        idle_seconds,
                        frequency,
                        value: self.object(kind, offset)?,
                    })));
                }
            }
        }
    }

    fn object(&mut self, kind: u8, offset: u64) -> Result<Value> {
        read_object(&mut self.source, kind, self.version).map_err(|error| match error.what {
            // A byte that is no type: told where it stands.
            what @ Problem::Type(_) => RdbError { offset, what },
            _ => error,
        })
    }

    fn select(&mut self) -> Result<()> {
        match u32::try_from(self.source.length()?) {
            Ok(db) => self.db = db,
            Err(_) => return self.source.malformed("an impossible database"),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.ended = true;
        if self.version < FIRST_WITH_CHECKSUM {
            return Ok(());
        }
        let found = self.source.checksum();
        let expected = u64::from_le_bytes(self.source.array()?);
        // Zero says that the writer was told to leave it out.
        match found {
            Some(found) if self.checks && expected != 0 && found != expected => {
                Err(self.source.error(Problem::Checksum { expected, found }))
            }
            _ => Ok(()),
        }
    }

    /// What a module has stored beside keys is a sequence of tagged values, which can be
    /// skipped without the module.
    fn skip_module_aux(&mut self) -> Result<()> {
        let id = self.source.length()?;
        tracing::warn!(
            module = module_name(id),
            "data of a module in an RDB file is skipped"
        );
        // When it was saved: a tag and a number.
        self.source.length()?;
        self.source.length()?;
        loop {
            match self.source.length()? {
                0 => return Ok(()),
                1 | 2 => {
                    self.source.length()?;
                }
                3 => {
                    self.source.array::<4>()?;
                }
                4 => {
                    self.source.array::<8>()?;
                }
                5 => {
                    self.source.string()?;
                }
                _ => return self.source.malformed("an unknown tag in a module's data"),
            }
        }
    }

    /// The import of cluster slots that was under way: a name and ranges.
    fn skip_import(&mut self) -> Result<()> {
        self.source.string()?;
        let ranges = self.source.length()?;
        for _ in 0..ranges {
            self.source.length()?;
            self.source.length()?;
        }
        Ok(())
    }
}

/// Whether the bytes begin like an RDB file.
pub fn is_head(bytes: &[u8]) -> bool {
    bytes.starts_with(b"REDIS") || bytes.starts_with(b"VALKEY")
}

fn read_head<R: Read>(source: &mut Source<R>) -> Result<u32> {
    let head: [u8; 9] = source.array().map_err(|error| match error.what {
        Problem::Truncated => RdbError {
            offset: 0,
            what: Problem::Magic,
        },
        _ => error,
    })?;
    let digits = head
        .strip_prefix(b"REDIS")
        .or_else(|| head.strip_prefix(b"VALKEY"));
    let version = digits
        .filter(|digits| digits.iter().all(u8::is_ascii_digit))
        .map(|digits| digits.iter().fold(0, |n, b| n * 10 + u32::from(b - b'0')));
    version.ok_or(RdbError {
        offset: 0,
        what: Problem::Magic,
    })
}

/// Files of older versions have no checksum.
const FIRST_WITH_CHECKSUM: u32 = 5;
