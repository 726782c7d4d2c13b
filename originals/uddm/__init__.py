"""UDDM: Unsupervised Diffusion-Based Degradation Modeling for Real-World Super-Resolution (AAAI 2025).

Two models of degradation, learnt from HR and real LR photographs that belong to no pairs, and their weighted sum:

    x = (1 - w) DDM(I_hr) + w PDDM(I_hr)                                                                        (eq. 1)

config.py    sizes and presets                  ddm.py          eq. 2 to 4: the diffusion, its training, its oracle
resample.py  bicubic down by s, and up again    pddm.py         the degradation and the network of its parameters
model.py     both, fused (eq. 1)                adversarial.py  eq. 5, the training of P-DDM
data.py      what they train on                 train.py        `degrade-engine train uddm`

Departures and what the paper leaves open:

- *DDM is no StableSR.* The paper fine-tunes StableSR, whose weights are not available here. This DDM is this project's
  U-Net on pixels, trained from nothing, so there is no diffusion prior of natural images in it.
- *The forward process.* The paper prints x_{t+1} = x_t + sqrt(beta_t) eps, which does not shrink x_t, and an eq. 3
  without condition. Its base is an ordinary variance-preserving DDPM with the low image as condition; so is this.
- *T and betas.* StableSR trains with 1000 timesteps and samples 200 of them. Here T = 200 and every one is trained; the
  betas are DDPM's linear ones for as many steps, 1000/T times 1e-4 to 0.02 (Dhariwal and Nichol 2021), which end at the
  same signal-to-noise ratio. sigma_t² is beta_t, as Ho et al. 2020. The paper prints none of them.
- *s* is not given. `paper` has 4. `tiny` has 2: what 4 takes from a real LR (RMS 0.14 of a range of 2, against 0.07,
  over 20 Canon photographs) is more than a U-Net of 2 M parameters can put back.
- *x_T* is sqrt(abar_T) of the HR at LR size beside the noise, the same share of the image as in training. The share is
  0.006.
- *P-DDM's form* is not printed, but for what it does with which layer (figure 5): see pddm.py. alpha of eq. 5 is not
  given either.
- *Aggregation sampling* of images larger than the engine's is not built.
"""
