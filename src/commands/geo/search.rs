//! Searching for places within a circle or a box, and storing what is found.

use super::{place, reply_distance, reply_place, unit};
use crate::commands::arguments::Arguments;
use crate::commands::sorted_sets::ranges::store;
use crate::execute::{Effect, Found, ReadContext, WriteContext};
use crate::number::parse_f64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::values::geohash::{self, Place, Shape};
use crate::values::sorted_set::{SortedSetRef, order};

/// Which form of command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `GEOSEARCH` and `GEOSEARCHSTORE`.
    Search,
    /// `GEORADIUS` and its like.
    Radius,
}

/// From where a search goes.
#[derive(Clone, Copy)]
enum Centre<'a> {
    Place(Place),
    Member(&'a [u8]),
}

/// Where the result goes.
#[derive(Clone, Copy)]
struct Store<'a> {
    key: &'a [u8],
    /// Distances are the scores, and not the places.
    distances: bool,
}

struct Plan<'a> {
    centre: Option<Centre<'a>>,
    shape: Option<Shape>,
    metres: f64,
    with_place: bool,
    with_distance: bool,
    with_hash: bool,
    descending: Option<bool>,
    count: usize,
    any: bool,
    store: Option<Store<'a>>,
}

/// A place that was found.
struct Hit {
    member: Vec<u8>,
    score: f64,
    place: Place,
    /// In metres.
    distance: f64,
}

fn length(text: &[u8], what: &'static str) -> Result<f64, WireError> {
    parse_f64(text).ok_or(WireError::fixed(what))
}

fn radius(given: &[u8], of: &[u8]) -> Result<(f64, f64), WireError> {
    let radius = length(given, "ERR need numeric radius")?;
    if radius < 0.0 {
        return Err(WireError::fixed("ERR radius cannot be negative"));
    }
    Ok((radius, unit(of)?))
}

impl<'a> Plan<'a> {
    fn new() -> Self {
        Plan {
            centre: None,
            shape: None,
            metres: 1.0,
            with_place: false,
            with_distance: false,
            with_hash: false,
            descending: None,
            count: 0,
            any: false,
            store: None,
        }
    }

    fn circle(&mut self, given: &[u8], of: &[u8]) -> Result<(), WireError> {
        let (radius, metres) = radius(given, of)?;
        self.shape = Some(Shape::Circle(radius * metres));
        self.metres = metres;
        Ok(())
    }

    /// Reads the options from argument `first` on; `source` is what is searched.
    fn options(
        &mut self,
        args: Args<'a>,
        first: usize,
        form: Form,
        may_store: bool,
        source: Option<SortedSetRef<'_>>,
    ) -> Result<(), WireError> {
        let mut rest = Arguments::new(args, first);
        while rest.more() {
            let left = rest.left();
            if rest.word("withdist") {
                self.with_distance = true;
            } else if rest.word("withhash") {
                self.with_hash = true;
            } else if rest.word("withcoord") {
                self.with_place = true;
            } else if rest.word("any") {
                self.any = true;
            } else if rest.word("asc") {
                self.descending = Some(false);
            } else if rest.word("desc") {
                self.descending = Some(true);
            } else if left > 1 && rest.word("count") {
                let count = crate::number::parse_i64(rest.value()).ok_or(errors::NOT_AN_INTEGER)?;
                let count = usize::try_from(count).ok().filter(|n| *n > 0);
                self.count = count.ok_or(WireError::fixed("ERR COUNT must be > 0"))?;
            } else if form == Form::Radius {
                let distances = if left > 1 && may_store && rest.word("store") {
                    false
                } else if left > 1 && may_store && rest.word("storedist") {
                    true
                } else {
                    return Err(errors::SYNTAX);
                };
                self.store = Some(Store {
                    key: rest.value(),
                    distances,
                });
            } else {
                self.search_option(&mut rest, left, source)?;
            }
        }
        rest.finish()
    }

    fn search_option(
        &mut self,
        rest: &mut Arguments<'a>,
        left: usize,
        source: Option<SortedSetRef<'_>>,
    ) -> Result<(), WireError> {
        if left > 1 && self.centre.is_none() && rest.word("frommember") {
            let member = rest.value();
            // Redis looks for the member before it reads the options behind.
            has_member(source, member)?;
            self.centre = Some(Centre::Member(member));
        } else if left > 2 && self.centre.is_none() && rest.word("fromlonlat") {
            self.centre = Some(Centre::Place(place(rest.value(), rest.value())?));
        } else if left > 2 && self.shape.is_none() && rest.word("byradius") {
            self.circle(rest.value(), rest.value())?;
        } else if left > 3 && self.shape.is_none() && rest.word("bybox") {
            let width = length(rest.value(), "ERR need numeric width")?;
            let height = length(rest.value(), "ERR need numeric height")?;
            if width < 0.0 || height < 0.0 {
                return Err(WireError::fixed("ERR height or width cannot be negative"));
            }
            self.metres = unit(rest.value())?;
            self.shape = Some(Shape::Box(width * self.metres, height * self.metres));
        } else if left > 1
            && self.shape.is_none()
            && self.centre.is_none()
            && rest.word("bypolygon")
        {
            self.polygon(rest)?;
        } else if let Some(store) = &mut self.store
            && rest.word("storedist")
        {
            store.distances = true;
        } else {
            return Err(errors::SYNTAX);
        }
        Ok(())
    }

    /// `BYPOLYGON`, which is Valkey's: distances are those from the corners' mean.
    fn polygon(&mut self, rest: &mut Arguments<'a>) -> Result<(), WireError> {
        let number = crate::number::parse_i64(rest.value());
        let number = number.ok_or(WireError::fixed("ERR invalid number of vertices"))?;
        let number = usize::try_from(number).unwrap_or(0);
        if number < 3 || rest.left() / 2 < number {
            return Err(WireError::fixed(
                "ERR GEOSEARCH BYPOLYGON must have at least 3 vertices",
            ));
        }
        let mut corners = Vec::with_capacity(number);
        for _ in 0..number {
            corners.push(place(rest.value(), rest.value())?);
        }
        self.centre = Some(Centre::Place(geohash::centroid(&corners)));
        self.shape = Some(Shape::Polygon(corners));
        Ok(())
    }

    fn check(&self, form: Form, name: &[u8]) -> Result<(), WireError> {
        if self.store.is_some() && (self.with_distance || self.with_hash || self.with_place) {
            let who = match form {
                Form::Search => "GEOSEARCHSTORE",
                Form::Radius => "STORE option in GEORADIUS",
            };
            return Err(WireError::new(format!(
                "ERR {who} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        if self.centre.is_none() {
            let text = "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ";
            return Err(WireError::quoting(text, name, ""));
        }
        if self.shape.is_none() {
            let text = "ERR exactly one of BYRADIUS and BYBOX can be specified for ";
            return Err(WireError::quoting(text, name, ""));
        }
        if self.any && self.count == 0 {
            return Err(WireError::fixed(
                "ERR the ANY argument requires COUNT argument",
            ));
        }
        Ok(())
    }

    /// What is found, in the order asked for.
    fn run(&self, set: Option<SortedSetRef<'_>>) -> Result<Vec<Hit>, WireError> {
        let (Some(set), Some(shape)) = (set, &self.shape) else {
            return Ok(Vec::new());
        };
        let centre = match self.centre {
            Some(Centre::Place(place)) => place,
            Some(Centre::Member(member)) => {
                let score = set.score(member).ok_or(NO_MEMBER)?;
                geohash::decode(geohash::bits(score))
            }
            None => return Ok(Vec::new()),
        };
        let most = if self.any { self.count } else { usize::MAX };
        let mut hits = Vec::new();
        for (low, high) in shape.ranges(centre) {
            let (low, high) = (low as f64, high as f64);
            let first = set.count_before(|score, _| score < low);
            for (member, score) in set.from(first).take_while(|(_, score)| *score < high) {
                if hits.len() >= most {
                    break;
                }
                let place = geohash::decode(geohash::bits(score));
                if let Some(distance) = shape.reach(centre, place) {
                    hits.push(Hit {
                        member: member.to_vec(),
                        score,
                        place,
                        distance,
                    });
                }
            }
        }
        // The nearest come first when only some are wanted.
        let implied = (self.count > 0 && !self.any).then_some(false);
        if let Some(descending) = self.descending.or(implied) {
            hits.sort_by(|a, b| {
                let order = a.distance.total_cmp(&b.distance);
                if descending { order.reverse() } else { order }
            });
        }
        if self.count > 0 {
            hits.truncate(self.count);
        }
        Ok(hits)
    }

    fn write(&self, hits: &[Hit], reply: &mut Reply<'_>) {
        let extras = [self.with_distance, self.with_hash, self.with_place];
        let extras = extras.into_iter().filter(|wanted| *wanted).count();
        reply.array(hits.len());
        for hit in hits {
            if extras > 0 {
                reply.array(1 + extras);
            }
            reply.bulk(&hit.member);
            if self.with_distance {
                reply_distance(reply, hit.distance / self.metres);
            }
            if self.with_hash {
                reply.int(hit.score as i64);
            }
            if self.with_place {
                reply_place(reply, hit.place);
            }
        }
    }
}

fn read(
    source: Option<SortedSetRef<'_>>,
    plan: &Plan<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let hits = plan.run(source)?;
    plan.write(&hits, reply);
    Ok(())
}

/// The sorted set that was found, if something was.
fn sorted_set<'c>(
    ctx: &'c WriteContext<'_>,
    found: Option<Found>,
) -> Result<Option<SortedSetRef<'c>>, WireError> {
    found.map(|found| ctx.sorted_set_of(found)).transpose()
}

fn write(
    ctx: &mut WriteContext<'_>,
    source: Option<Found>,
    plan: &Plan<'_>,
    event: &'static str,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let hits = plan.run(sorted_set(ctx, source)?)?;
    let Some(target) = plan.store else {
        plan.write(&hits, reply);
        return Ok(Effect::None);
    };
    let mut members: Vec<(Vec<u8>, f64)> = hits
        .into_iter()
        .map(|hit| match target.distances {
            true => (hit.member, hit.distance / plan.metres),
            false => (hit.member, hit.score),
        })
        .collect();
    members.sort_by(|a, b| order((a.1, &a.0), (b.1, &b.0)));
    store(ctx, target.key, &members, event, reply)
}

/// `GEOSEARCH key FROM… BY… [ASC|DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]`
pub(super) fn geosearch(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    // Redis looks at the key's type before it looks at the options.
    let source = ctx.sorted_set(args.at(1))?;
    let mut plan = Plan::new();
    plan.options(args, 2, Form::Search, false, source)?;
    plan.check(Form::Search, args.at(0))?;
    read(source, &plan, reply)
}

/// `GEOSEARCHSTORE destination source FROM… BY… [ASC|DESC] [COUNT count [ANY]] [STOREDIST]`
pub(super) fn geosearchstore(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let found = ctx.find_used(args.at(2));
    let source = sorted_set(ctx, found)?;
    let mut plan = Plan::new();
    plan.store = Some(Store {
        key: args.at(1),
        distances: false,
    });
    plan.options(args, 3, Form::Search, true, source)?;
    plan.check(Form::Search, args.at(0))?;
    write(ctx, found, &plan, "geosearchstore", reply)
}

fn by_place<'a>(args: Args<'a>, may_store: bool) -> Result<Plan<'a>, WireError> {
    let mut plan = Plan::new();
    plan.centre = Some(Centre::Place(place(args.at(2), args.at(3))?));
    plan.circle(args.at(4), args.at(5))?;
    plan.options(args, 6, Form::Radius, may_store, None)?;
    plan.check(Form::Radius, args.at(0))?;
    Ok(plan)
}

/// Whether there is a set; if there is, the member must be in it.
fn has_member(set: Option<SortedSetRef<'_>>, member: &[u8]) -> Result<bool, WireError> {
    match set {
        None => Ok(false),
        Some(set) if set.score(member).is_none() => Err(NO_MEMBER),
        Some(_) => Ok(true),
    }
}

/// A missing key has no member, and Redis then does not look at the distance either.
fn by_member<'a>(args: Args<'a>, may_store: bool, exists: bool) -> Result<Plan<'a>, WireError> {
    let mut plan = Plan::new();
    plan.centre = Some(Centre::Member(args.at(2)));
    if exists {
        plan.circle(args.at(3), args.at(4))?;
    } else {
        plan.shape = Some(Shape::Circle(0.0));
    }
    plan.options(args, 5, Form::Radius, may_store, None)?;
    plan.check(Form::Radius, args.at(0))?;
    Ok(plan)
}

/// `GEORADIUS key longitude latitude radius M|KM|FT|MI [options]`
pub(super) fn georadius(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let found = ctx.find_used(args.at(1));
    sorted_set(ctx, found)?;
    write(ctx, found, &by_place(args, true)?, "georadiusstore", reply)
}

/// `GEORADIUS_RO key longitude latitude radius M|KM|FT|MI [options]`
pub(super) fn georadius_ro(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let source = ctx.sorted_set(args.at(1))?;
    read(source, &by_place(args, false)?, reply)
}

/// `GEORADIUSBYMEMBER key member radius M|KM|FT|MI [options]`
pub(super) fn georadiusbymember(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let found = ctx.find_used(args.at(1));
    let exists = has_member(sorted_set(ctx, found)?, args.at(2))?;
    write(
        ctx,
        found,
        &by_member(args, true, exists)?,
        "georadiusstore",
        reply,
    )
}

/// `GEORADIUSBYMEMBER_RO key member radius M|KM|FT|MI [options]`
pub(super) fn georadiusbymember_ro(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let source = ctx.sorted_set(args.at(1))?;
    let exists = has_member(source, args.at(2))?;
    read(source, &by_member(args, false, exists)?, reply)
}

const NO_MEMBER: WireError = WireError::fixed("ERR could not decode requested zset member");
