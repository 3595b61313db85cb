//! Questions about a mesh: problems, simulation, description, comparison.
