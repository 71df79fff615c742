//! Places on the earth as numbers of 52 bits, so that a sorted set finds what lies close by.
//!
//! Longitude and latitude take 26 bits each, interleaved, latitude in the even bits, over the
//! range of the Mercator projection: nearby places mostly share their first bits. A cell of
//! `step` bits a coordinate is a range of scores.

/// The highest latitude, of either sign, in degrees.
pub const LATITUDE: f64 = 85.05112878;
/// The highest longitude, of either sign, in degrees.
pub const LONGITUDE: f64 = 180.0;
/// The earth's radius in metres.
const EARTH: f64 = 6_372_797.560856;
/// Half of the projection's width in metres.
const MERCATOR: f64 = 20_037_726.37;
/// Bits of a coordinate.
const STEPS: u32 = 26;

/// A place: longitude and latitude in degrees.
pub type Place = (f64, f64);

/// What is searched, in metres.
#[derive(Clone, Debug)]
pub enum Shape {
    /// All within a distance.
    Circle(f64),
    /// All within a width and a height.
    Box(f64, f64),
    /// All within the lines that join the corners, straight where meridians and parallels
    /// are.
    Polygon(Vec<Place>),
}

/// The mean of places on the sphere: where the mean of their directions points to.
pub fn centroid(places: &[Place]) -> Place {
    let mut sum = [0.0; 3];
    for (longitude, latitude) in places {
        let (longitude, latitude) = (longitude.to_radians(), latitude.to_radians());
        sum[0] += latitude.cos() * longitude.cos();
        sum[1] += latitude.cos() * longitude.sin();
        sum[2] += latitude.sin();
    }
    // Its length does not matter for the direction.
    let [x, y, z] = sum;
    (y.atan2(x).to_degrees(), z.atan2(x.hypot(y)).to_degrees())
}

/// The corners of a polygon in pairs of neighbours, the last with the first.
fn edges(corners: &[Place]) -> impl Iterator<Item = (Place, Place)> {
    let next = corners.iter().cycle().skip(1);
    corners.iter().copied().zip(next.copied())
}

/// Whether a line to the east of the place meets the polygon's edges an odd number of times.
fn is_inside(corners: &[Place], (longitude, latitude): Place) -> bool {
    let crossed = edges(corners).filter(|(a, b)| {
        let meets = (a.1 > latitude) != (b.1 > latitude);
        meets && longitude < (b.0 - a.0) * (latitude - a.1) / (b.1 - a.1) + a.0
    });
    crossed.count() % 2 == 1
}

/// The circle around the centre that holds the polygon, in metres. Where an edge is farther
/// from the centre than its ends, between two of the points that are looked at, the margin
/// covers it.
fn enclosing_radius(corners: &[Place], centre: Place) -> f64 {
    let points = edges(corners).flat_map(|(a, b)| {
        (0..16).map(move |i| {
            let part = f64::from(i) / 16.0;
            (a.0 + (b.0 - a.0) * part, a.1 + (b.1 - a.1) * part)
        })
    });
    points.fold(0.0, |most: f64, point| most.max(distance(centre, point))) * 1.02
}

fn interleave(latitude: u32, longitude: u32) -> u64 {
    let spread = |n: u32| (0..32).fold(0u64, |bits, i| bits | (u64::from(n) >> i & 1) << (2 * i));
    spread(latitude) | spread(longitude) << 1
}

fn deinterleave(bits: u64) -> (u32, u32) {
    let pick = |bits: u64| (0..32).fold(0u32, |n, i| n | ((bits >> (2 * i) & 1) as u32) << i);
    (pick(bits), pick(bits >> 1))
}

fn encode_within(place: Place, latitude: f64, step: u32) -> u64 {
    let cells = f64::from(1u32 << step);
    let offset = |n: f64, half: f64| ((n + half) / (2.0 * half) * cells) as u32;
    interleave(offset(place.1, latitude), offset(place.0, LONGITUDE))
}

/// The place as 52 bits: the score of a member.
pub fn encode(place: Place) -> u64 {
    encode_within(place, LATITUDE, STEPS)
}

/// The limits of a cell: lowest and highest longitude, lowest and highest latitude.
/// A score that is no place may have more bits than a cell; what it gives is never used far.
fn area(bits: u64, step: u32) -> [f64; 4] {
    let (latitude, longitude) = deinterleave(bits);
    let cells = f64::from(1u32 << step);
    let edge = |n: u32, half: f64| -half + f64::from(n) / cells * (2.0 * half);
    [
        edge(longitude, LONGITUDE),
        edge(longitude.wrapping_add(1), LONGITUDE),
        edge(latitude, LATITUDE),
        edge(latitude.wrapping_add(1), LATITUDE),
    ]
}

/// The bits that a score is. One that is no place becomes what a conversion in C makes of it
/// on the usual machines.
pub fn bits(score: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if score < HALF {
        return score as i64 as u64;
    }
    let above = score - HALF;
    let low = if above < HALF { above as i64 } else { i64::MIN };
    low as u64 ^ 1 << 63
}

/// The middle of the cell that 52 bits name.
pub fn decode(bits: u64) -> Place {
    let [west, east, south, north] = area(bits, STEPS);
    let longitude = ((west + east) / 2.0).clamp(-LONGITUDE, LONGITUDE);
    (
        longitude,
        ((south + north) / 2.0).clamp(-LATITUDE, LATITUDE),
    )
}

/// The usual text of eleven letters, over all latitudes.
pub fn text(bits: u64) -> [u8; 11] {
    const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
    let bits = encode_within(decode(bits), 90.0, STEPS);
    let mut text = [b'0'; 11];
    // 52 bits are ten letters and a bit more, which Redis leaves out.
    for (i, letter) in text.iter_mut().take(10).enumerate() {
        *letter = LETTERS[(bits >> (52 - (i + 1) * 5) & 31) as usize];
    }
    text
}

/// The distance of two places on the sphere, in metres.
pub fn distance(a: Place, b: Place) -> f64 {
    let (lon1, lat1) = (a.0.to_radians(), a.1.to_radians());
    let (lon2, lat2) = (b.0.to_radians(), b.1.to_radians());
    let v = ((lon2 - lon1) / 2.0).sin();
    if v == 0.0 {
        return latitude_distance(a.1, b.1);
    }
    let u = ((lat2 - lat1) / 2.0).sin();
    2.0 * EARTH * (u * u + lat1.cos() * lat2.cos() * v * v).sqrt().asin()
}

fn latitude_distance(a: f64, b: f64) -> f64 {
    EARTH * (b.to_radians() - a.to_radians()).abs()
}

impl Shape {
    /// The distance of a place from the centre, if it lies in the shape.
    pub fn reach(&self, centre: Place, place: Place) -> Option<f64> {
        match self {
            Shape::Circle(radius) => {
                let distance = distance(centre, place);
                (distance <= *radius).then_some(distance)
            }
            Shape::Box(width, height) => {
                if latitude_distance(place.1, centre.1) > height / 2.0 {
                    return None;
                }
                // Along the parallel of the place.
                if distance((place.0, place.1), (centre.0, place.1)) > width / 2.0 {
                    return None;
                }
                Some(distance(centre, place))
            }
            Shape::Polygon(corners) => is_inside(corners, place).then(|| distance(centre, place)),
        }
    }

    fn radius(&self, centre: Place) -> f64 {
        match self {
            Shape::Circle(radius) => *radius,
            Shape::Box(width, height) => (width / 2.0).hypot(height / 2.0),
            Shape::Polygon(corners) => enclosing_radius(corners, centre),
        }
    }

    /// The limits of the shape: lowest and highest longitude, lowest and highest latitude.
    fn bounds(&self, (longitude, latitude): Place) -> [f64; 4] {
        let (width, height) = match self {
            Shape::Circle(radius) => (2.0 * radius, 2.0 * radius),
            Shape::Box(width, height) => (*width, *height),
            Shape::Polygon(corners) => {
                let limits = |pick: fn(&Place) -> f64| {
                    let all = || corners.iter().map(pick);
                    [
                        all().fold(f64::MAX, f64::min),
                        all().fold(f64::MIN, f64::max),
                    ]
                };
                let ([west, east], [south, north]) = (limits(|c| c.0), limits(|c| c.1));
                return [west, east, south, north];
            }
        };
        let up = (height / 2.0 / EARTH).to_degrees();
        let across =
            |latitude: f64| (width / 2.0 / EARTH / latitude.to_radians().cos()).to_degrees();
        let (top, bottom) = (across(latitude + up), across(latitude - up));
        let across = if latitude < 0.0 { bottom } else { top };
        [
            longitude - across,
            longitude + across,
            latitude - up,
            latitude + up,
        ]
    }

    /// The ranges of scores in which everything of the shape lies, the centre's cell first:
    /// the first score of each, and the first behind it.
    pub fn ranges(&self, centre: Place) -> Vec<(u64, u64)> {
        let radius = self.radius(centre);
        let mut step = estimate(radius, centre.1);
        let mut cells = neighbours(centre, step);
        let edge = |cell: u64, side: usize| area(cell, step)[side];
        let too_small = distance(centre, (centre.0, edge(cells[1], 3))) < radius
            || distance(centre, (centre.0, edge(cells[2], 2))) < radius
            || distance(centre, (edge(cells[3], 1), centre.1)) < radius
            || distance(centre, (edge(cells[4], 0), centre.1)) < radius;
        if too_small && step > 1 {
            step -= 1;
            cells = neighbours(centre, step);
        }
        let mut wanted = [true; 9];
        if step >= 2 {
            let [west, east, south, north] = self.bounds(centre);
            let own = area(cells[0], step);
            let mut leave = |useless: bool, which: [usize; 3]| {
                if useless {
                    which.into_iter().for_each(|i| wanted[i] = false);
                }
            };
            leave(own[2] < south, [2, 7, 8]);
            leave(own[3] > north, [1, 5, 6]);
            leave(own[0] < west, [4, 6, 8]);
            leave(own[1] > east, [3, 5, 7]);
        }
        let shift = 52 - 2 * step;
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for (cell, wanted) in cells.into_iter().zip(wanted) {
            let range = (cell << shift, (cell + 1) << shift);
            if wanted && !ranges.contains(&range) {
                ranges.push(range);
            }
        }
        ranges
    }
}

/// How many bits a coordinate has in cells of about the radius.
fn estimate(radius: f64, latitude: f64) -> u32 {
    if radius == 0.0 {
        return STEPS;
    }
    let (mut range, mut step) = (radius, 1i32);
    while range < MERCATOR {
        range *= 2.0;
        step += 1;
    }
    // Cells next to the centre's must cover the radius in most cases.
    step -= 2;
    // Towards the poles cells are narrower.
    if latitude.abs() > 66.0 {
        step -= 1;
        if latitude.abs() > 80.0 {
            step -= 1;
        }
    }
    step.clamp(1, STEPS as i32) as u32
}

/// The cell of the centre and those around it: north, south, east, west, north-east,
/// north-west, south-east, south-west.
fn neighbours(centre: Place, step: u32) -> [u64; 9] {
    let cell = encode_within(centre, LATITUDE, step);
    let (latitude, longitude) = deinterleave(cell);
    let mask = (1u32 << step) - 1;
    let at = |east: i32, north: i32| {
        interleave(
            latitude.wrapping_add_signed(north) & mask,
            longitude.wrapping_add_signed(east) & mask,
        )
    };
    [
        cell,
        at(0, 1),
        at(0, -1),
        at(1, 0),
        at(-1, 0),
        at(1, 1),
        at(-1, 1),
        at(1, -1),
        at(-1, -1),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_redis() {
        // Replies of Redis 8.2.3 to ZSCORE, GEOPOS and GEOHASH.
        let bits = encode((13.361389, 38.115556));
        assert_eq!(bits, 3_479_099_956_230_698);
        assert_eq!(decode(bits), (13.361389338970184, 38.1155563954963));
        assert_eq!(&text(bits), b"sqc8b49rny0");
    }

    #[test]
    fn nothing_within_reach_is_outside_the_ranges() {
        let mut seed = 5u64;
        let mut draw = |half: f64| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            ((seed >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0) * half
        };
        for _ in 0..3000 {
            let mut centre = (draw(179.0), draw(84.0));
            let shape = match draw(1.0) {
                n if n < -0.3 => Shape::Circle(draw(1_500_000.0).abs()),
                n if n < 0.3 => Shape::Box(draw(2_000_000.0).abs(), draw(2_000_000.0).abs()),
                _ => {
                    let mut corner = || {
                        let near = (centre.0 + draw(6.0), centre.1 + draw(6.0));
                        (near.0.clamp(-180.0, 180.0), near.1.clamp(-85.0, 85.0))
                    };
                    let corners: Vec<Place> = (0..5).map(|_| corner()).collect();
                    centre = centroid(&corners);
                    Shape::Polygon(corners)
                }
            };
            let ranges = shape.ranges(centre);
            for _ in 0..20 {
                let place = (
                    centre.0 + draw(3.0),
                    (centre.1 + draw(3.0)).clamp(-85.0, 85.0),
                );
                if !(-180.0..180.0).contains(&place.0) || centre.1.abs() > 75.0 {
                    continue;
                }
                let bits = encode(place);
                if shape.reach(centre, decode(bits)).is_some() {
                    let inside = ranges
                        .iter()
                        .any(|(low, high)| (*low..*high).contains(&bits));
                    assert!(inside, "{centre:?} {shape:?} {place:?}");
                }
            }
        }
    }
}
