//! The library `bit`: operations on numbers as 32 bits.

use super::api::number_at;
use mlua::{Lua, MultiValue, Result, Table, Value};

type Unary = (&'static str, fn(i32) -> i32);
type Fold = (&'static str, fn(i32, i32) -> i32);
type Shift = (&'static str, fn(i32, u32) -> i32);

/// Makes the library.
pub fn library(lua: &Lua) -> Result<Table> {
    let bit = lua.create_table()?;
    let unary: [Unary; 3] = [
        ("tobit", |n| n),
        ("bnot", |n| !n),
        ("bswap", i32::swap_bytes),
    ];
    for (name, apply) in unary {
        let function =
            move |lua: &Lua, args: MultiValue| Ok(f64::from(apply(operand(lua, name, &args, 0)?)));
        bit.raw_set(name, lua.create_function(function)?)?;
    }
    let folds: [Fold; 3] = [
        ("band", |a, b| a & b),
        ("bor", |a, b| a | b),
        ("bxor", |a, b| a ^ b),
    ];
    for (name, apply) in folds {
        let function = move |lua: &Lua, args: MultiValue| {
            let mut value = operand(lua, name, &args, 0)?;
            for i in 1..args.len() {
                value = apply(value, operand(lua, name, &args, i)?);
            }
            Ok(f64::from(value))
        };
        bit.raw_set(name, lua.create_function(function)?)?;
    }
    let shifts: [Shift; 5] = [
        ("lshift", |n, by| n << by),
        ("rshift", |n, by| (n as u32 >> by) as i32),
        ("arshift", |n, by| n >> by),
        ("rol", |n, by| n.rotate_left(by)),
        ("ror", |n, by| n.rotate_right(by)),
    ];
    for (name, apply) in shifts {
        let function = move |lua: &Lua, args: MultiValue| {
            let value = operand(lua, name, &args, 0)?;
            let by = operand(lua, name, &args, 1)? as u32 & 31;
            Ok(f64::from(apply(value, by)))
        };
        bit.raw_set(name, lua.create_function(function)?)?;
    }
    bit.raw_set("tohex", lua.create_function(tohex)?)?;
    Ok(bit)
}

/// An argument, reduced to 32 bits as the library defines it.
fn operand(lua: &Lua, function: &str, args: &MultiValue, at: usize) -> Result<i32> {
    let number = number_at(lua, args, at, function)?;
    // The lowest bits of the sum are those of the nearest integer, as the library defines it for
    // numbers of up to 51 bits, and what it makes of larger ones.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    Ok((number + SHIFT).to_bits() as i32)
}

fn tohex(lua: &Lua, args: MultiValue) -> Result<String> {
    let value = operand(lua, "tohex", &args, 0)? as u32;
    let digits = match args.get(1) {
        None | Some(Value::Nil) => 8,
        Some(_) => operand(lua, "tohex", &args, 1)?,
    };
    let shown = digits.unsigned_abs().min(8) as usize;
    let text = format!("{value:08x}");
    let text = text[8 - shown..].to_owned();
    Ok(if digits < 0 {
        text.to_ascii_uppercase()
    } else {
        text
    })
}
