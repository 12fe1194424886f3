//! A cache of blocks that were read for single records.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use hashbrown::HashMap;

use crate::StagingError;
use crate::journal::block::Block;

/// Maximum number of cached blocks. They take about four megabytes.
const CACHED_BLOCKS: usize = 128;

/// Segment and offset of a block.
type BlockPosition = (u32, u64);

/// The blocks that were read last. The oldest is evicted first.
#[derive(Default)]
pub(crate) struct BlockCache {
    cached: Mutex<CachedBlocks>,
}

#[derive(Default)]
struct CachedBlocks {
    blocks: HashMap<BlockPosition, Arc<Block>>,
    order: VecDeque<BlockPosition>,
}

impl BlockCache {
    /// Returns the block at a position, and reads it if it is not cached.
    pub fn get_or_read(
        &self,
        position: BlockPosition,
        read: impl FnOnce() -> Result<Block, StagingError>,
    ) -> Result<Arc<Block>, StagingError> {
        let mut cached = self.cached.lock().expect("no panic while held");
        if let Some(block) = cached.blocks.get(&position) {
            return Ok(block.clone());
        }
        let block = Arc::new(read()?);
        if cached.order.len() >= CACHED_BLOCKS
            && let Some(oldest) = cached.order.pop_front()
        {
            cached.blocks.remove(&oldest);
        }
        cached.blocks.insert(position, block.clone());
        cached.order.push_back(position);
        Ok(block)
    }
}
