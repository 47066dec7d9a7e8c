"""Energy-based models on arrays: the noise of the hardware draws the samples.

    rbm            the machine: energies, exact likelihood of small ones
    array          one array read along its rows and along its columns, with noise at its neurons
    temperature    noise as temperature: probit and logistic units, a chip measured and set
    chips          a machine planned for a target and set up on a chip
    samplers       Gibbs chains, digital or on a chip
    likelihood     the likelihood of a sampler, defined by what its chain settles in
    ais            log Z of machines too large to enumerate
    training       persistent contrastive divergence, digital or on simulated chips
    measures       samples against data: moments, MMD, Fréchet distance, coverage, autocorrelation, inpainting
    langevin       a convolutional energy and its Langevin chain, with the noise that the array has already
    energy         joules per sample, and of a digital sampler
"""
