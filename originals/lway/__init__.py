"""LWay: Low-Res Leads the Way (Chen et al., CVPR 2024).

config.py       the sizes, and the two presets
model.py        the degradation encoder E and the reconstructor R        3.1
perceptual.py   LPIPS, and the substitute where its weights are not given 3.1
data.py         synthetic pairs (Table 3) and true pairs
train.py        L1 + perceptual loss                                      3.1
wavelet.py      the Haar bands, and the weight map W                      3.2
adapt.py        self-supervised fine-tuning of an SR model                3.2, 4.1
"""
