"""Who is a robot by its User-Agent: previewers are, browsers in apps and scripts are not."""

from __future__ import annotations

import time

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from handlers.web.robots import LONGEST, PEOPLE, SCRIPTS, is_robot

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
ANDROID = "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/AP2A.240805.005; wv) AppleWebKit/537.36 (KHTML, like Gecko)"
WEBVIEW = f"{ANDROID} Version/4.0 Chrome/127.0.6533.64 Mobile Safari/537.36"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko)"
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/127.0.0.0 Safari/537.36"

PREVIEWERS = [
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Slack-ImgProxy (+https://api.slack.com/robots)",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "WhatsApp/2.23.20.0 A",
    "WhatsApp/2",  # Signal
    "TelegramBot (like TwitterBot)",
    "Twitterbot/1.0",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "facebookexternalhit/1.1",
    "facebookcatalog/1.0",
    "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
    "Snap URL Preview Service; bot; snapchat; https://developers.snap.com/robots",
    "Mozilla/5.0 (compatible; Bluesky Cardyb/1.1; +mailto:support@bsky.app)",
    "Viber",
    "Tumblr/14.0.835.186",
    "ZulipURLPreview/8.0",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
    "Mozilla/5.0 (compatible; Yahoo Link Preview; https://help.yahoo.com/kb/mail/yahoo-link-preview-SLN23615.html)",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
    "Mozilla/4.0 (compatible; ms-office; MSOffice 16)",
    "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17029; Pro)",
    "Microsoft Office/16.0 (Windows NT 10.0; 16.0.17029; Pro)",
    "Outlook-iOS/709.2226530.prod.iphone (3.24.1)",
    "Mozilla/5.0 (Windows NT 6.1; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/99 BingPreview/1.0b",
    "http.rb/5.1.1 (Mastodon/4.2.0; +https://mastodon.example/) Bot",
    "Mastodon/4.3.0 (http.rb/5.2.0; +https://mastodon.example/)",
    "Synapse (bot; +https://github.com/matrix-org/synapse)",
    f"{MAC.replace('537.36', '601.2.4')} Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
    f"{MAC} Version/17.4 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)",
    "Mozilla/5.0 (compatible; redditbot/1.0; +http://www.reddit.com/feedback)",
    "Mozilla/5.0 (compatible; Pinterestbot/1.0; +http://www.pinterest.com/bot.html)",
    "Pinterest/0.2 (+http://www.pinterest.com/bot.html)",
    "Mozilla/5.0 (compatible; vkShare; +http://vk.com/dev/Share)",
    "facebookexternalhit/1.1;line-poker/1.0",
    "facebookexternalhit/1.1; kakaotalk-scrap/1.0; +https://devtalk.kakao.com/t/scrap/33984",
    f"{CHROME} Google-PageRenderer Google (+https://developers.google.com/+/web/snippet/)",
    "Iframely/1.3.1 (+https://iframely.com/docs/about)",
    "Mozilla/5.0 (compatible; Embedly/0.2; +http://support.embed.ly/)",
    "Nextcloud-Server-Crawler/28.0.0",
    f"{CHROME} Rocket.Chat/6.5.0",
    "Mattermost-Bot/1.1",
    "Discourse Forum Onebox v3.2.0",
    "Lemmy/0.19.3; +https://lemmy.example",
    "Mozilla/5.0 (compatible; Proofpoint URL Defense)",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Newbot/2.1",
    "Mozilla/5.0 (compatible; Unheard Of; +https://example.org/about)",
    "SomethingSpider",
]

PEOPLES = [
    f"{IPHONE} Mobile/15E148 [FBAN/FBIOS;FBAV/450.0.0.38.108;FBBV/564431005;FBDV/iPhone14,5;FBLC/en_US;FBOP/5]",
    f"{WEBVIEW} [FB_IAB/FB4A;FBAV/450.0.0.38.108;]",
    f"{WEBVIEW} MetaIAB Facebook",
    f"{WEBVIEW.replace('AP2A.240805.005', 'AP3A.240617.008')} Instagram 406.0.0.58.159 Android (35/15; OPPO) IABMV/1",
    f"{IPHONE} Mobile/15E148 Instagram 340.0.0.22.110 (iPhone14,5; iOS 17_5; en_US; scale=3.00; 1170x2532)",
    f"{IPHONE} Mobile/15E148 Barcelona 340.0.0.22.110 (iPhone14,5; iOS 17_5)",
    f"{IPHONE} Mobile/15E148 [Pinterest/iOS]",
    f"{WEBVIEW} [Pinterest/Android]",
    f"{WEBVIEW} XWEB/1160065 MMWEBSDK/20231202 MicroMessenger/8.0.47.2560(0x28002F30) WeChat/arm64 Language/zh_CN",
    f"{IPHONE} Mobile/15E148 MicroMessenger/8.0.49(0x18003137) NetType/WIFI Language/zh_CN",
    f"{IPHONE} Mobile/15E148 Safari Line/14.9.0",
    f"{WEBVIEW} Line/14.9.0/IAB",
    f"{IPHONE} Mobile/15E148 Snapchat/12.60.0.33 (like Safari/8616.1.27, panda)",
    f"{WEBVIEW} Snapchat/12.60.0.33 (Pixel 8; Android 14)",
    f"{IPHONE} Mobile/15E148 Twitter for iPhone/10.42",
    f"{WEBVIEW} TwitterAndroid",
    f"{IPHONE} Mobile/15E148 LinkedInApp/9.29.8960",
    f"{WEBVIEW} KAKAOTALK/25.6.1 (INAPP)",
    f"{IPHONE} Mobile/15E148 Tumblr/iPhone/33.3/333010/17.0/tumblr",
    f"{IPHONE} Mobile/15E148 musical_ly_34.5.0 BytedanceWebview/d8a21c6",
    f"{IPHONE} GSA/324.0 Mobile/15E148 Safari/604.1",
    f"{WEBVIEW} Viber/22.6.0",
    f"{MAC} Slack/4.35.131 Chrome/120.0.6099.56 Electron/28.0.0 Safari/537.36",
    f"{MAC} discord/0.0.290 Chrome/108.0.5359.215 Electron/22.3.26 Safari/537.36",
    f"{MAC} Notion/3.0.0 Chrome/120.0 Electron/28 Safari/537.36",
    f"{MAC} Rocket.Chat/3.9.9 Chrome/114.0 Electron/25 Safari/537.36",
    CHROME,
    f"{CHROME} Edg/127.0.0.0",
    f"{CHROME} OPR/112.0.0.0",
    CHROME.replace("Chrome/", "HeadlessChrome/"),
    f"{IPHONE} Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0",
    "Mozilla/5.0 (Linux; Android 11; CUBOT KINGKONG 5 Pro) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120 Mobile",
    "Mozilla/5.0 (Linux; Android 11; Cubot Note 20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120 Mobile",
    "Mozilla/5.0 (Linux; Android 9; KFMAWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/120.4.1 like Chrome/120.0",
    "Mozilla/5.0 (Linux; U; Android 12; zh-cn; M2102) AppleWebKit/533.1 SogouMSE,SogouMobileBrowser/5.22.8",
    "Lynx/2.9.0 libwww-FM/2.14",
    "",
]

PROGRAMS = [
    "curl/8.5.0",
    "Wget/1.21.4",
    "python-requests/2.32.3",
    "python-httpx/0.28.1",
    "Python-urllib/3.11",
    "Python/3.11 aiohttp/3.9.1",
    "Go-http-client/1.1",
    "okhttp/4.12.0",
    "axios/1.7.2",
    "node-fetch",
    "undici",
    "Apache-HttpClient/5.3 (Java/21)",
    "Java/21.0.1",
    "PostmanRuntime/7.39.0",
    "libwww-perl/6.72",
    "Dart/3.4 (dart:io)",
]


@pytest.mark.parametrize("user_agent", PREVIEWERS)
def test_previewers_are_robots(user_agent: str) -> None:
    assert is_robot(user_agent)


@pytest.mark.parametrize("user_agent", PEOPLES)
def test_browsers_are_none_wherever_they_are_built_in(user_agent: str) -> None:
    assert not is_robot(user_agent)


@pytest.mark.parametrize("user_agent", PROGRAMS)
def test_programs_that_people_write_are_none(user_agent: str) -> None:
    assert not is_robot(user_agent)


def test_the_robots_that_the_list_has_examples_of_are_robots() -> None:
    """All but some that pose as browsers in apps."""
    entries = [entry for entry in CRAWLER_USER_AGENTS_DATA if not SCRIPTS & set(entry.get("tags", ()))]
    examples = [text for entry in entries if entry["pattern"] not in PEOPLE for text in entry["instances"]]
    assert len(examples) > 1000
    missed = [text for text in examples if not is_robot(text)]
    assert len(missed) < len(examples) / 100, missed


def test_what_is_left_out_of_the_list_is_in_it() -> None:
    assert {entry["pattern"] for entry in CRAWLER_USER_AGENTS_DATA} >= PEOPLE


def test_a_user_agent_of_any_length_costs_no_more_than_a_long_one() -> None:
    def cost(text: str) -> float:
        best = 1.0
        for _ in range(5):
            began = time.process_time()
            for _ in range(20):
                is_robot(text)
            best = min(best, time.process_time() - began)
        return best / 20

    for letters in ("AdsCaBo", "B", "Mozilla/5.0 (", "+htt", "like Gecko) "):
        assert cost(letters * 20_000) < 3 * cost((letters * LONGEST)[:LONGEST]) + 0.001
