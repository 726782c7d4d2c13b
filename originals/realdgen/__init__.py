"""RealDGen: Towards Realistic Data Generation for Real-World Super-Resolution (Peng et al., ICLR 2025).

content.py      E_cont and Rec_hr: a VQ-VAE                              A.1.1, eq. 1, 2
degradation.py  E_deg                                                    A.1.2, figure 8
modulation.py   M and Rec_lr                                             A.4, figure 9, eq. 5 to 8
unet.py         eps_theta                                                2.2, Algorithm 1
model.py        the whole generator, its presets
losses.py       eq. 2, 4, 6 and Algorithm 1
oracle.py       Algorithm 2 and the filter of A.6, one image at a time
data.py         what each training stage sees
stages.py       the four training stages
"""
