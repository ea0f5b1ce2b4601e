//! Releases as a stream of bounded messages, cells in columns.

use std::collections::HashMap;

use num_traits::ToPrimitive as _;
use privacy::combine::{ReceivedGroup, ReceivedNoise};
use privacy::gate::ReleasedGroup;
use privacy::measure::MAX_INPUTS;
use privacy::noise::Statement;
use privacy::request::{MAX_GROUPS, ReleaseRequest};
use privacy::{Received, Released};

use crate::{CHUNK_BYTES, v1};

/// Bytes of one cell.
const CELL_BYTES: usize = 16;

/// A release that has not the shape its request prescribes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A chunk's columns do not fit the request.
    #[error("a release chunk does not have the shape of its request")]
    Shape,
    /// The stream ended before its summary, or continued after it.
    #[error("a release ended before it was complete")]
    Incomplete,
    /// A hospital sent more groups than a request may have.
    #[error("a release has more groups than a request may have")]
    TooManyGroups,
}

/// Cuts a release into messages of about [`CHUNK_BYTES`]; the last carries the summary.
#[must_use]
pub fn chunks(
    released: &Released,
    request: &ReleaseRequest,
    snapshot_id: &str,
) -> Vec<v1::ReleaseChunk> {
    let key_bytes = 16 * request.dimensions().len();
    let group_bytes = 8 + key_bytes + CELL_BYTES * request.width() + request.measures().len();
    let per_chunk = (CHUNK_BYTES / group_bytes).max(1);
    let mut chunks: Vec<_> =
        released.groups().chunks(per_chunk).map(|groups| chunk(groups, request)).collect();
    if chunks.is_empty() {
        chunks.push(chunk(&[], request));
    }
    if let Some(last) = chunks.last_mut() {
        last.summary = Some(v1::ReleaseSummary {
            withheld_groups: released.withheld_groups(),
            withheld_measures: released.withheld_measures(),
            withheld_rows: released.withheld_rows(),
            snapshot_id: snapshot_id.to_owned(),
            groups: released.groups().len() as u64,
            noise: released.noise().map(state_noise),
        });
    }
    chunks
}

fn chunk(groups: &[ReleasedGroup], request: &ReleaseRequest) -> v1::ReleaseChunk {
    let dimensions = 0..request.dimensions().len();
    let columns = 0..request.width();
    let measures = 0..request.measures().len();
    v1::ReleaseChunk {
        groups: u32::try_from(groups.len()).unwrap_or(u32::MAX),
        keys: dimensions.map(|index| key_column(groups, index)).collect(),
        rows: groups.iter().map(ReleasedGroup::rows).collect(),
        cells: columns
            .map(|index| groups.iter().flat_map(|g| g.cells()[index].to_le_bytes()).collect())
            .collect(),
        withheld: measures
            .map(|index| pack(groups.iter().map(|group| group.withheld()[index])))
            .collect(),
        summary: None,
    }
}

/// What a hospital says of its noise, as it travels.
fn state_noise(told: &Statement) -> v1::NoiseStatement {
    let double = |units: &u128| units.to_f64().unwrap_or(f64::MAX);
    encode_noise(&ReceivedNoise {
        rho_micro: told.rho_micro,
        epsilon_year: told.epsilon_year,
        delta: told.delta,
        rows_per_person: told.rows_per_person,
        least_rows: told.least_rows,
        rows_deviation: double(&told.rows_deviation),
        deviations: told.deviations.iter().map(double).collect(),
        bounds: told.bounds.iter().map(double).collect(),
    })
}

/// The same of what was received.
#[must_use]
pub fn encode_noise(told: &ReceivedNoise) -> v1::NoiseStatement {
    v1::NoiseStatement {
        rho_micro: told.rho_micro,
        epsilon_year: told.epsilon_year,
        delta: told.delta,
        rows_per_person: told.rows_per_person,
        least_rows: told.least_rows,
        rows_deviation: told.rows_deviation,
        deviations: told.deviations.clone(),
        bounds: told.bounds.clone(),
    }
}

/// Bits as bytes, the lowest first.
pub(crate) fn pack(bits: impl Iterator<Item = bool>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, bit) in bits.enumerate() {
        if index % 8 == 0 {
            bytes.push(0);
        }
        if let (Some(byte), true) = (bytes.last_mut(), bit) {
            *byte |= 1 << (index % 8);
        }
    }
    bytes
}

/// Bit `index` of packed bits.
pub(crate) fn is_set(bytes: &[u8], index: usize) -> bool {
    bytes[index / 8] >> (index % 8) & 1 == 1
}

fn key_column(groups: &[ReleasedGroup], index: usize) -> v1::KeyColumn {
    let mut known: HashMap<&str, u32> = HashMap::new();
    let mut column = v1::KeyColumn::default();
    for group in groups {
        let place = match group.key()[index].as_deref() {
            None => 0,
            Some(code) => *known.entry(code).or_insert_with(|| {
                column.dictionary.push(code.to_owned());
                u32::try_from(column.dictionary.len()).unwrap_or(u32::MAX)
            }),
        };
        column.indices.push(place);
    }
    column
}

/// A release's messages as one text of bytes, for the record.
#[must_use]
pub fn to_record(chunks: &[v1::ReleaseChunk]) -> Vec<u8> {
    chunks.iter().flat_map(prost::Message::encode_length_delimited_to_vec).collect()
}

/// The messages of a recorded release.
///
/// # Errors
/// [`WireError::Incomplete`] when the bytes are not whole messages.
pub fn from_record(mut bytes: &[u8]) -> Result<Vec<v1::ReleaseChunk>, WireError> {
    let mut chunks = Vec::new();
    while !bytes.is_empty() {
        let chunk = prost::Message::decode_length_delimited(&mut bytes);
        chunks.push(chunk.map_err(|_| WireError::Incomplete)?);
    }
    Ok(chunks)
}

/// Puts the chunks of one hospital's release together, checking each against the request.
#[derive(Debug)]
pub struct Assembler {
    dimensions: usize,
    width: usize,
    measures: usize,
    groups: Vec<ReceivedGroup>,
    summary: Option<v1::ReleaseSummary>,
    bytes: u64,
}

impl Assembler {
    /// An assembler for the answer to `request`.
    #[must_use]
    pub fn new(request: &ReleaseRequest) -> Self {
        Self {
            dimensions: request.dimensions().len(),
            width: request.width(),
            measures: request.measures().len(),
            groups: Vec::new(),
            summary: None,
            bytes: 0,
        }
    }

    /// Takes in the next chunk.
    ///
    /// # Errors
    /// [`WireError`] when it does not fit the request or follows the summary.
    pub fn add(&mut self, chunk: v1::ReleaseChunk) -> Result<(), WireError> {
        if self.summary.is_some() {
            return Err(WireError::Incomplete);
        }
        self.bytes += prost::Message::encoded_len(&chunk) as u64;
        let groups = chunk.groups as usize;
        if self.groups.len() + groups > MAX_GROUPS {
            return Err(WireError::TooManyGroups);
        }
        let fits = chunk.keys.len() == self.dimensions
            && chunk.keys.iter().all(|column| column.indices.len() == groups)
            && chunk.rows.len() == groups
            && chunk.cells.len() == self.width
            && chunk.cells.iter().all(|column| column.len() == groups * CELL_BYTES)
            && chunk.withheld.len() == self.measures
            && chunk.withheld.iter().all(|mask| mask.len() == groups.div_ceil(8));
        if !fits {
            return Err(WireError::Shape);
        }
        for index in 0..groups {
            self.groups.push(group(&chunk, index)?);
        }
        self.summary = chunk.summary;
        Ok(())
    }

    /// A statement with a deviation for each cell.
    fn read_noise(&self, wire: v1::NoiseStatement) -> Result<ReceivedNoise, WireError> {
        let numbers = wire.deviations.iter().chain(&wire.bounds).chain([
            &wire.rows_deviation,
            &wire.epsilon_year,
            &wire.delta,
        ]);
        let is_fine = |number: &f64| number.is_finite() && *number >= 0.0;
        if wire.deviations.len() != self.width
            || wire.bounds.len() > MAX_INPUTS
            || !numbers.into_iter().all(is_fine)
        {
            return Err(WireError::Shape);
        }
        Ok(ReceivedNoise {
            rho_micro: wire.rho_micro,
            epsilon_year: wire.epsilon_year,
            delta: wire.delta,
            rows_per_person: wire.rows_per_person,
            least_rows: wire.least_rows,
            rows_deviation: wire.rows_deviation,
            deviations: wire.deviations,
            bounds: wire.bounds,
        })
    }

    /// Bytes taken in so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The whole release.
    ///
    /// # Errors
    /// [`WireError::Incomplete`] when the summary has not come or counts other groups.
    pub fn finish(self) -> Result<Received, WireError> {
        let summary = self.summary.clone().ok_or(WireError::Incomplete)?;
        if summary.groups != self.groups.len() as u64 {
            return Err(WireError::Incomplete);
        }
        let noise = summary.noise.map(|noise| self.read_noise(noise)).transpose()?;
        Ok(Received {
            groups: self.groups,
            withheld_groups: summary.withheld_groups,
            withheld_measures: summary.withheld_measures,
            withheld_rows: summary.withheld_rows,
            noise,
        })
    }
}

fn group(chunk: &v1::ReleaseChunk, index: usize) -> Result<ReceivedGroup, WireError> {
    let key = |column: &v1::KeyColumn| match column.indices[index] {
        0 => Ok(None),
        place => {
            column.dictionary.get(place as usize - 1).cloned().map(Some).ok_or(WireError::Shape)
        }
    };
    let cell = |column: &Vec<u8>| {
        let bytes = &column[index * CELL_BYTES..(index + 1) * CELL_BYTES];
        <[u8; CELL_BYTES]>::try_from(bytes).map(i128::from_le_bytes).map_err(|_| WireError::Shape)
    };
    Ok(ReceivedGroup {
        key: chunk.keys.iter().map(key).collect::<Result<_, _>>()?,
        rows: chunk.rows[index],
        cells: chunk.cells.iter().map(cell).collect::<Result<_, _>>()?,
        withheld: chunk.withheld.iter().map(|bits| is_set(bits, index)).collect(),
    })
}

#[cfg(test)]
mod tests;
