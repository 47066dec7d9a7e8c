"""Light that multiplies: interferometer meshes, microring banks, phase-change crossbars, and what a detector adds."""
