//! Places: sorted sets whose scores are [`crate::values::geohash`]es.
//!
//! What must stay true: a search looks only at the ranges of scores in which its shape lies,
//! and judges each place by its distance.

mod search;

use super::handler::Handler;
use super::sorted_sets::members::{Options, add};
use super::spec::{CommandSpec, Deprecated, Flags, Group, KeySpec};
use crate::execute::{Effect, ReadContext, WriteContext};
use crate::number::parse_f64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::values::geohash::{self, LATITUDE, LONGITUDE, Place};
use crate::values::sorted_set::NOTHING;

const GEO: CommandSpec = CommandSpec {
    group: Group::Geo,
    ..CommandSpec::DEFAULT
};

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "geoadd",
        since: "3.2.0",
        arity: -5,
        flags: Flags::of("write denyoom"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key [NX | XX]{condition @6.2.0} [CH{change @6.2.0}] longitude latitude member [longitude latitude member ...]{data}",
        summary: "Adds places to a sorted set.",
        complexity: "O(log N) for each member, N being the size of the set",
        history: &[("6.2.0", "New options or forms.")],
        handler: Handler::Write(geoadd),
        ..GEO
    },
    CommandSpec {
        name: "geopos",
        since: "3.2.0",
        arity: -2,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key [member [member ...]]",
        summary: "Gives the longitudes and latitudes of members.",
        complexity: "O(1) for each member",
        handler: Handler::Read(geopos),
        ..GEO
    },
    CommandSpec {
        name: "geodist",
        since: "3.2.0",
        arity: -4,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key member1 member2 [M | KM | FT | MI]{unit}",
        summary: "Gives the distance of two members.",
        complexity: "O(1) for each member",
        handler: Handler::Read(geodist),
        ..GEO
    },
    CommandSpec {
        name: "geohash",
        since: "3.2.0",
        arity: -2,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key [member [member ...]]",
        summary: "Gives the usual texts for the places of members.",
        complexity: "O(1) for each member",
        handler: Handler::Read(geohash),
        ..GEO
    },
    CommandSpec {
        name: "geosearch",
        since: "6.2.0",
        arity: -7,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key <FROMMEMBER member | FROMLONLAT longitude latitude>{from} <<BYRADIUS radius <M | KM | FT | MI>{unit}>{circle} | <BYBOX width height <M | KM | FT | MI>{unit}>{box}>{by} [ASC | DESC]{order} [COUNT count [ANY]]{count-block} [WITHCOORD] [WITHDIST] [WITHHASH]",
        summary: "Finds the places within a circle or a box.",
        complexity: "O(N+log(M)), N being the places in the cells around the centre and M the size of the set",
        history: &[("7.0.0", "New options or forms.")],
        handler: Handler::Read(search::geosearch),
        ..GEO
    },
    CommandSpec {
        name: "geosearchstore",
        since: "6.2.0",
        arity: -8,
        flags: Flags::of("write denyoom"),
        keys: &[KeySpec::at(1, "OW update"), KeySpec::at(2, "RO access")],
        syntax: "destination source <FROMMEMBER member | FROMLONLAT longitude latitude>{from} <<BYRADIUS radius <M | KM | FT | MI>{unit}>{circle} | <BYBOX width height <M | KM | FT | MI>{unit}>{box}>{by} [ASC | DESC]{order} [COUNT count [ANY]]{count-block} [STOREDIST]",
        summary: "Stores the places within a circle or a box.",
        complexity: "O(N+log(M)), N being the places in the cells around the centre and M the size of the set",
        history: &[("7.0.0", "New options or forms.")],
        handler: Handler::Write(search::geosearchstore),
        ..GEO
    },
    CommandSpec {
        name: "georadius",
        since: "3.2.0",
        arity: -6,
        flags: Flags::of("write denyoom"),
        keys: &[
            KeySpec::at(1, "RO access"),
            KeySpec::after("STORE", 6, 0, 0, "OW update"),
            KeySpec::after("STOREDIST", 6, 0, 0, "OW update"),
        ],
        syntax: "key longitude latitude radius <M | KM | FT | MI>{unit} [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY{@6.2.0}]]{count-block} [ASC | DESC]{order} [STORE key{storekey} | STOREDIST key{storedistkey}]{store}",
        summary: "Finds the places around a place, and may store them.",
        complexity: "O(N+log(M)), N being the places in the cells around the centre and M the size of the set",
        history: &[
            ("6.2.0", "New options or forms."),
            ("7.0.0", "New options or forms."),
        ],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
        }),
        handler: Handler::Write(search::georadius),
        ..GEO
    },
    CommandSpec {
        name: "georadius_ro",
        since: "3.2.10",
        arity: -6,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key longitude latitude radius <M | KM | FT | MI>{unit} [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY{@6.2.0}]]{count-block} [ASC | DESC]{order}",
        summary: "Finds the places around a place.",
        complexity: "O(N+log(M)), N being the places in the cells around the centre and M the size of the set",
        history: &[
            ("6.2.0", "New options or forms."),
            ("7.0.0", "New options or forms."),
        ],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`GEOSEARCH` with the `BYRADIUS` argument",
        }),
        handler: Handler::Read(search::georadius_ro),
        ..GEO
    },
    CommandSpec {
        name: "georadiusbymember",
        since: "3.2.0",
        arity: -5,
        flags: Flags::of("write denyoom"),
        keys: &[
            KeySpec::at(1, "RO access"),
            KeySpec::after("STORE", 5, 0, 0, "OW update"),
            KeySpec::after("STOREDIST", 5, 0, 0, "OW update"),
        ],
        syntax: "key member radius <M | KM | FT | MI>{unit} [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]]{count-block} [ASC | DESC]{order} [STORE key{storekey} | STOREDIST key{storedistkey}]{store}",
        summary: "Finds the places around a member, and may store them.",
        complexity: "O(N+log(M)), N being the places in the cells around the centre and M the size of the set",
        history: &[
            ("6.2.0", "New options or forms."),
            ("7.0.0", "New options or forms."),
        ],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
        }),
        handler: Handler::Write(search::georadiusbymember),
        ..GEO
    },
    CommandSpec {
        name: "georadiusbymember_ro",
        since: "3.2.10",
        arity: -5,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key member radius <M | KM | FT | MI>{unit} [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]]{count-block} [ASC | DESC]{order}",
        summary: "Finds the places around a member.",
        complexity: "O(N+log(M)), N being the places in the cells around the centre and M the size of the set",
        history: &[
            ("6.2.0", "New options or forms."),
            ("7.0.0", "New options or forms."),
        ],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
        }),
        handler: Handler::Read(search::georadiusbymember_ro),
        ..GEO
    },
];

/// A longitude and a latitude.
///
/// # Errors
/// For what is no number, or outside the range.
fn place(longitude: &[u8], latitude: &[u8]) -> Result<Place, WireError> {
    let longitude = parse_f64(longitude).ok_or(errors::NOT_A_FLOAT)?;
    let latitude = parse_f64(latitude).ok_or(errors::NOT_A_FLOAT)?;
    if longitude.abs() > LONGITUDE || latitude.abs() > LATITUDE {
        return Err(WireError::new(format!(
            "ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"
        )));
    }
    Ok((longitude, latitude))
}

/// Metres of a unit.
///
/// # Errors
/// For a unit that does not exist.
fn unit(word: &[u8]) -> Result<f64, WireError> {
    match &*word.to_ascii_lowercase() {
        b"m" => Ok(1.0),
        b"km" => Ok(1000.0),
        b"ft" => Ok(0.3048),
        b"mi" => Ok(1609.34),
        _ => Err(WireError::fixed(
            "ERR unsupported unit provided. please use M, KM, FT, MI",
        )),
    }
}

/// Writes a distance with four decimals.
fn reply_distance(reply: &mut Reply<'_>, distance: f64) {
    reply.bulk_str(&format!("{distance:.4}"));
}

/// Writes a longitude and a latitude.
fn reply_place(reply: &mut Reply<'_>, (longitude, latitude): Place) {
    reply.array(2);
    reply.double(longitude);
    reply.double(latitude);
}

/// `GEOADD key [NX|XX] [CH] longitude latitude member [...]`
fn geoadd(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (mut options, mut first) = (Options::default(), 2);
    while first < args.len() {
        if args.is(first, "nx") {
            options.only_new = true;
        } else if args.is(first, "xx") {
            options.only_there = true;
        } else if args.is(first, "ch") {
            options.changed = true;
        } else {
            break;
        }
        first += 1;
    }
    let triples = args.skip(first);
    if triples.is_empty()
        || !triples.len().is_multiple_of(3)
        || options.only_new && options.only_there
    {
        return Err(errors::SYNTAX);
    }
    let mut members = Vec::with_capacity(triples.len() / 3);
    for i in (0..triples.len()).step_by(3) {
        let place = place(triples.at(i), triples.at(i + 1))?;
        members.push((geohash::encode(place) as f64, triples.at(i + 2)));
    }
    add(ctx, args.at(1), &members, options, reply)
}

/// `GEOPOS key [member ...]`
fn geopos(ctx: &ReadContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), WireError> {
    let set = ctx.sorted_set(args.at(1))?.unwrap_or(NOTHING);
    reply.array(args.len() - 2);
    for member in args.from(2) {
        match set.score(member) {
            Some(score) => reply_place(reply, geohash::decode(geohash::bits(score))),
            None => reply.null_array(),
        }
    }
    Ok(())
}

/// `GEOHASH key [member ...]`
fn geohash(ctx: &ReadContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), WireError> {
    let set = ctx.sorted_set(args.at(1))?.unwrap_or(NOTHING);
    reply.array(args.len() - 2);
    for member in args.from(2) {
        match set.score(member) {
            Some(score) => reply.bulk(&geohash::text(geohash::bits(score))),
            None => reply.null(),
        }
    }
    Ok(())
}

/// `GEODIST key member1 member2 [M|KM|FT|MI]`
fn geodist(ctx: &ReadContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), WireError> {
    let metres = match args.len() {
        4 => 1.0,
        5 => unit(args.at(4))?,
        _ => return Err(errors::SYNTAX),
    };
    let set = ctx.sorted_set(args.at(1))?.unwrap_or(NOTHING);
    match (set.score(args.at(2)), set.score(args.at(3))) {
        (Some(a), Some(b)) => {
            let [a, b] = [a, b].map(|score| geohash::decode(geohash::bits(score)));
            reply_distance(reply, geohash::distance(a, b) / metres);
        }
        _ => reply.null(),
    }
    Ok(())
}
