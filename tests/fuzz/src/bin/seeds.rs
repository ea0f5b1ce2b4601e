//! Writes the samples with which corpora begin: `seeds FOLDER` makes one folder for each target.

use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "target/fuzz-seeds".to_owned());
    for seed in fuzz::seeds::seeds() {
        let target = Path::new(&folder).join(seed.target);
        fs::create_dir_all(&target)?;
        fs::write(target.join(seed.name), seed.bytes)?;
    }
    Ok(())
}
